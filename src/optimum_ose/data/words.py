"""One way from words to tokens: words are joined by spaces and tokenized as one text, as a served text is."""

from collections.abc import Sequence

from tokenizers import Encoding

from optimum_ose.data.targets import NO_CLASS


def text_of(words: Sequence[str]) -> str:
    """The text that stands for a list of words."""
    return " ".join(words)


def word_spans(words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word starts and ends in `text_of(words)`, in characters."""
    spans, start = [], 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans


def first_tokens(words: Sequence[str], offsets: Sequence[tuple[int, int]], special: Sequence[int]) -> list[int | None]:
    """For each word the index of its first token; None for a word that has no token of its own.

    A token belongs to the first word of whose characters it covers any. Words have no token where the tokenizer drops
    their characters, joins them to the word before, or cuts the text before them.

    Args:
        words: of the text.
        offsets: (start, end) of each token in `text_of(words)`, in the order of the text.
        special: 1 for each token that the tokenizer has added, else 0.
    """
    spans = word_spans(words)
    found: list[int | None] = [None] * len(words)
    word = 0
    for token, ((start, end), is_added) in enumerate(zip(offsets, special, strict=True)):
        if is_added or end <= start:
            continue
        while word < len(spans) and (spans[word][1] <= start or not words[word]):
            word += 1
        if word < len(spans) and spans[word][0] < end and found[word] is None:
            found[word] = token
    return found


def first_tokens_of_rows(rows: Sequence[Sequence[str]], encodings: Sequence[Encoding]) -> list[list[int | None]]:
    """`first_tokens` of the words of each row, whose text has this encoding."""
    return [
        first_tokens(words, encoding.offsets, encoding.special_tokens_mask)
        for words, encoding in zip(rows, encodings, strict=True)
    ]


def tags_on_first_tokens(first: Sequence[int | None], tags: Sequence[int | None] | None, num_tokens: int) -> list[int]:
    """A label for each token: the tag of each word on its first token, -100 on all others.

    Args:
        first: what `first_tokens` gives.
        tags: of the words, None where a word has none; None: the row has none.
        num_tokens: of the row.
    """
    labels = [NO_CLASS] * num_tokens
    for token, tag in zip(first, tags, strict=True) if tags is not None else ():
        if token is not None and tag is not None:
            labels[token] = tag
    return labels
