"""Which tokens of a vocabulary must stay, whatever the texts are, and which tokens a token needs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.vocabulary.merging import Merges
from optimum_ose.vocabulary.table import TokenTable
from optimum_ose.wording import shown

_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))
"""How byte fallback names the bytes of characters that are in no vocabulary."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What keeps a part of a vocabulary able to write every text that the whole can."""

    required: frozenset[int]
    """Ids that always stay: added tokens, the unknown token, single characters or bytes, and what cannot be written
    with them."""
    parts: Callable[[int], frozenset[int]]
    """Id -> ids without which the tokenizer never makes the token; itself not among them."""


def rules_of(table: TokenTable) -> Rules:
    """The rules of a tokenizer's kind.

    Raises:
        UnsupportedModelError: if words can be unknown, and no token stands for them.
    """
    required = set(table.added)
    unknown = table.settings.get("unk_token")
    if unknown is not None and unknown in table.vocabulary:
        required.add(table.vocabulary[unknown])
    if table.settings.get("byte_fallback"):
        required |= {table.vocabulary[token] for token in _BYTES if token in table.vocabulary}
    make = {"WordPiece": _word_piece, "BPE": _bpe, "Unigram": _unigram, "WordLevel": _word_level}[table.kind]
    found = make(table)
    return Rules(required=found.required | required, parts=found.parts)


def _word_piece(table: TokenTable) -> Rules:
    """Pieces are matched greedily, the longest first: with all characters there, in their form at the beginning of a
    word and inside it, no word comes to an end that cannot be written.
    """
    prefix = str(table.settings["continuing_subword_prefix"])

    def characters(token: str) -> list[str]:
        if token.startswith(prefix) and len(token) > len(prefix):
            return [prefix + character for character in token[len(prefix) :]]
        return [character if place == 0 else prefix + character for place, character in enumerate(token)]

    return _by_characters(table, characters)


def _unigram(table: TokenTable) -> Rules:
    """The score of unknown characters follows from the lowest of all scores, whose piece therefore stays."""
    found = _by_characters(table, list)
    pieces = table.settings["vocab"]
    required = set(found.required)
    if pieces:
        required.add(min(range(len(pieces)), key=lambda index: pieces[index][1]))
    if table.settings.get("unk_id") is not None:
        required.add(table.settings["unk_id"])
    return Rules(required=frozenset(required), parts=found.parts)


def _by_characters(table: TokenTable, characters: Callable[[str], Iterable[str]]) -> Rules:
    """Tokens of one character stay, and those with a character that has neither a token of its own nor its bytes."""
    vocabulary = table.vocabulary
    has_bytes = bool(table.settings.get("byte_fallback"))
    required = set()
    for token, index in vocabulary.items():
        symbols = list(characters(token))
        if len(symbols) <= 1 or not (has_bytes or all(symbol in vocabulary for symbol in symbols)):
            required.add(index)
    return Rules(required=frozenset(required), parts=lambda _: frozenset())


def _word_level(table: TokenTable) -> Rules:
    unknown = table.settings.get("unk_token")
    if unknown not in table.vocabulary:
        raise UnsupportedModelError(
            "A vocabulary of whole words must have a token for unknown words",
            f"unk_token is {shown(unknown)}, which is no token",
            "Add one to the vocabulary, and train its embedding",
        )
    return Rules(required=frozenset(), parts=lambda _: frozenset())


def _bpe(table: TokenTable) -> Rules:
    """A token is made by merges, from its characters up: all that they make on the way stays with it."""
    merges = Merges.of(table)
    tokens, vocabulary = table.tokens, table.vocabulary

    def parts(index: int) -> frozenset[int]:
        made = merges.made_on_the_way(tokens[index])
        return frozenset(vocabulary[token] for token in made if token in vocabulary) - {index}

    return Rules(required=_by_characters(table, merges.symbols).required, parts=parts)
