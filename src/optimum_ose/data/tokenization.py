"""Turns checked splits into token rows."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import Dataset
from transformers import (
    BatchEncoding,
    PreTrainedTokenizerBase,
)

from optimum_ose.data.groups import group_columns
from optimum_ose.data.labels import row_labels
from optimum_ose.data.targets import NO_CLASS
from optimum_ose.data.words import first_tokens_of_rows, tags_on_first_tokens, text_of
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.preprocessing import (
    SOUND,
    row_lengths,
)

TEACHER_LOGITS = "teacher_logits"
"""Column of what the teacher answers to a row."""
_LOGGER = logging.getLogger(__name__)


def unlabeled_rows(rows: Dataset, *, like: Dataset) -> Dataset:
    """Token rows with labels that say that there is none, of the kind that other rows have.

    Args:
        rows: token rows.
        like: token rows with `labels`.
    """
    example = like["labels"][0]
    lengths = [1] * len(rows) if SOUND in rows.column_names else row_lengths(rows)  # frames have no labels of their own
    none = [_no_label(example, length) for length in lengths]
    kept = rows.remove_columns("labels") if "labels" in rows.column_names else rows
    labeled = kept.add_column("labels", none).select_columns(list(like.column_names))
    return labeled.cast(like.features)


def _no_label(example: Any, num_tokens: int) -> Any:
    """What stands for no label where others look like the example."""
    if are_tags(example):
        return [NO_CLASS] * num_tokens
    if isinstance(example, list):
        return [math.nan] * len(example)
    return math.nan if isinstance(example, float) else NO_CLASS


def tokenize(
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    on_cut: Callable[[int], None] | None = None,
) -> Dataset:
    """Token rows: `input_ids`, `attention_mask`, maybe `token_type_ids`, and `labels`; not padded.

    Columns of groups are kept. Words are tokenized as one text, joined by spaces, as served texts are. A tag labels the
    first token of its word; all other tokens have the label -100. Rows without a label column get no `labels`. Rows
    without a token, which no model can answer, are left out: `with_tokens` tells which are kept.

    Args:
        rows: columns `text`, maybe `text_pair`, or `tokens`; and maybe `label`. An empty partner counts as none, as in
            serving.
        tokenizer: the teacher's, which is also the student's.
        max_length: longer rows are cut.
        on_cut: hears how many rows were cut; of tokenizers without a fast form never.

    Raises:
        InvalidDataError: if words are to be tagged and the tokenizer does not say which token belongs to which, or no
            row has a token.
    """
    if "tokens" in rows.column_names:
        return _tokenize_words(rows, tokenizer, max_length=max_length, on_cut=on_cut)
    pairs = rows["text_pair"][:] if "text_pair" in rows.column_names else None
    encoded = _encoded(rows["text"][:], pairs, tokenizer, max_length=max_length, on_cut=on_cut) | group_columns(rows)
    if "label" not in rows.column_names:
        return _without_empty(encoded)
    return _without_empty({**encoded, "labels": row_labels(rows)})


def with_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Dataset:
    """The rows of which `tokenize` makes token rows: those that have a token."""
    texts = [text_of(words) for words in rows["tokens"]] if "tokens" in rows.column_names else rows["text"][:]
    pairs = rows["text_pair"][:] if "text_pair" in rows.column_names else None
    kept = _rows_with_tokens(_encoded(texts, pairs, tokenizer, max_length=max_length, on_cut=None)["input_ids"])
    return rows if len(kept) == len(rows) else rows.select(kept)


def _rows_with_tokens(input_ids: Sequence[Sequence[int]]) -> list[int]:
    return [index for index, ids in enumerate(input_ids) if len(ids)]


def _without_empty(columns: Mapping[str, list[Any]]) -> Dataset:
    """Token rows of columns; those without a token are left out, and counted in the log.

    Raises:
        InvalidDataError: if none is left.
    """
    made = Dataset.from_dict(dict(columns))
    kept = _rows_with_tokens(columns["input_ids"])
    if len(kept) == len(made):
        return made
    if not kept:
        raise InvalidDataError(
            "At least one row must have a token",
            f"the tokenizer makes none of any of the {len(made):,} texts, and adds no special tokens",
            "Check the texts and the tokenizer.json of the teacher",
        )
    _LOGGER.warning(
        "%d of %d rows are left out: the tokenizer makes no token of their text", len(made) - len(kept), len(made)
    )
    return made.select(kept).flatten_indices()


def word_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> list[list[int | None]]:
    """For each row of the column `tokens` the index of each word's first token: see `words.first_tokens`."""
    encoded = tokenizer([text_of(words) for words in rows["tokens"]], truncation=True, max_length=max_length)
    return first_tokens_of_rows(rows["tokens"][:], encoded.encodings or ())


def _encoded(
    texts: list[str],
    pairs: list[str | None] | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    on_cut: Callable[[int], None] | None,
) -> dict[str, list[Any]]:
    """Columns of inputs; rows with an empty partner are tokenized without it."""
    if not texts:
        return {"input_ids": [], "attention_mask": []}
    alone = [index for index, pair in enumerate(pairs or [None] * len(texts)) if not pair]
    paired = [] if pairs is None or len(alone) == len(texts) else sorted(set(range(len(texts))) - set(alone))
    columns: dict[str, list[Any]] = {}
    num_cut = 0
    for members in filter(None, (alone, paired)):
        partners = [pairs[index] for index in members] if pairs is not None and members is paired else None
        found = tokenizer([texts[index] for index in members], partners, truncation=True, max_length=max_length)
        num_cut += sum(are_cut(found))
        for name, values in found.items():
            column = columns.setdefault(name, [None] * len(texts))
            for index, value in zip(members, values, strict=True):
                column[index] = value
    if on_cut is not None:
        on_cut(num_cut)
    return columns


def are_cut(encoded: BatchEncoding) -> list[bool]:
    """Whether each text was longer than the limit with which a fast tokenizer has cut it."""
    return [bool(encoding.overflowing) for encoding in encoded.encodings or ()]


def _tokenize_words(
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    on_cut: Callable[[int], None] | None,
) -> Dataset:
    if not tokenizer.is_fast:
        raise InvalidDataError(
            "Token classification needs a tokenizer that tells which token belongs to which word",
            f"{type(tokenizer).__name__} does not",
            "Use a teacher with a tokenizer.json",
        )
    texts = [text_of(words) for words in rows["tokens"]]
    if not texts:
        return Dataset.from_dict({"input_ids": [], "attention_mask": [], "labels": []})
    encoded = tokenizer(texts, truncation=True, max_length=max_length)
    if on_cut is not None:
        on_cut(sum(are_cut(encoded)))
    columns = dict(encoded)
    if "label" in rows.column_names:
        first = first_tokens_of_rows(rows["tokens"][:], encoded.encodings or ())
        columns["labels"] = [
            tags_on_first_tokens(tokens, tags, len(ids))
            for tokens, tags, ids in zip(first, rows["label"], encoded["input_ids"], strict=True)
        ]
    return _without_empty(columns)


def are_tags(labels: Any) -> bool:
    """Whether labels are those of tokens, whole numbers."""
    return isinstance(labels, list) and all(isinstance(label, int) for label in labels)
