"""The tokens of a fast tokenizer, as its tokenizer.json holds them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast, get_args

from tokenizers import Tokenizer

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.wording import listed, shown

Kind = Literal["WordPiece", "BPE", "Unigram", "WordLevel"]
_REMEDY = "Use the tokenizer files that the model was trained with"


@dataclass(frozen=True)
class TokenTable:
    """Every token of a tokenizer with its id."""

    kind: Kind
    """Of the model part."""
    content: Mapping[str, Any]
    """The whole of tokenizer.json."""
    vocabulary: Mapping[str, int]
    """Token -> id, of the model part."""
    added: Mapping[int, str]
    """Id -> token, of added tokens, special ones among them; a token may stand in the model part too."""

    @cached_property
    def tokens(self) -> Mapping[int, str]:
        """Id -> token, of all tokens, by id."""
        found = {index: token for token, index in self.vocabulary.items()} | dict(self.added)
        return dict(sorted(found.items()))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The model part of tokenizer.json."""
        return cast("Mapping[str, Any]", self.content["model"])

    @property
    def num_ids(self) -> int:
        """One more than the largest id."""
        return max(self.tokens, default=-1) + 1

    @property
    def num_holes(self) -> int:
        """Ids below the largest that no token has."""
        return self.num_ids - len(self.tokens)


def read_table(backend: Tokenizer) -> TokenTable:
    """The tokens of a fast tokenizer.

    Raises:
        InvalidConfigError: if two tokens have one id, or a token stands in the vocabulary twice.
        UnsupportedModelError: if its model is none of WordPiece, BPE, Unigram and WordLevel.
    """
    _refuse_shared_ids(backend)
    content = json.loads(backend.to_str())
    settings = content["model"]
    kind = settings.get("type")
    if kind not in get_args(Kind):
        raise UnsupportedModelError(
            f"The model of a tokenizer must be one of {', '.join(get_args(Kind))}",
            f"it is {shown(kind)}",
            "Choose a model with such a tokenizer",
        )
    if kind == "Unigram":
        pieces = [piece for piece, _ in settings["vocab"]]
        _refuse_repeated(pieces)
        vocabulary = {piece: index for index, piece in enumerate(pieces)}
    else:
        vocabulary = settings["vocab"]
    added = {int(item["id"]): str(item["content"]) for item in content["added_tokens"]}
    return TokenTable(kind=cast("Kind", kind), content=content, vocabulary=vocabulary, added=added)


def _refuse_shared_ids(backend: Tokenizer) -> None:
    owners: dict[int, str] = {}
    for token, index in backend.get_vocab(with_added_tokens=True).items():
        other = owners.setdefault(index, token)
        if other != token:
            raise InvalidConfigError(
                "Each id of a vocabulary must belong to one token",
                f"{index:,} belongs to {shown(other)} and {shown(token)}",
                _REMEDY,
            )


def _refuse_repeated(pieces: list[str]) -> None:
    if len(set(pieces)) < len(pieces):
        seen: set[str] = set()
        repeated = [piece for piece in pieces if piece in seen or seen.add(piece)]  # type: ignore[func-returns-value]
        raise InvalidConfigError(
            "Each token of a vocabulary must stand in it once",
            f"there are more of {listed(map(shown, repeated), limit=3)}",
            _REMEDY,
        )
