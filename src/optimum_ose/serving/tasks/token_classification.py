"""Entities in a text: its tokens' labels, joined to words and groups as the caller wants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from optimum_ose.serving.inputs import Aggregation, TextPair
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import Options, Rows, RowTask, ServedTask
from optimum_ose.serving.tasks.parts.labels import Labels, softmax

_OUTSIDE = "O"
"""The label of what is no entity."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A token or a word with its label."""

    label: str
    score: float
    word: str
    start: int
    end: int
    index: int | None = None
    """Place of a token in its text."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """A token of the text, special ones left out."""

    index: int
    word: str
    start: int
    end: int
    scores: NDArray[np.float32]
    continues: bool
    """Whether it goes on with the word of the token before it."""


@final
class EntityFinder:
    """What turns a text's logits into entities."""

    def __init__(self, tokenizer: Tokenizer, labels: Labels, *, unknown_id: int | None) -> None:
        self._tokenizer = tokenizer
        self._labels = labels
        self._unknown_id = unknown_id
        self._marks_continuation = bool(getattr(tokenizer.model, "continuing_subword_prefix", None))

    def entities(
        self, text: str, encoding: Encoding, logits: NDArray[np.float32], aggregation: Aggregation
    ) -> list[dict[str, Any]]:
        """The entities in the order of the text, as transformers' pipeline gives them.

        Args:
            text: as it was encoded.
            encoding: its tokens.
            logits: (tokens, labels).
            aggregation: how tokens are joined.

        Returns:
            For `none`, tokens with `entity`, `score`, `index`, `word`, `start`, `end`; else groups with `entity_group`,
            `score`, `word`, `start`, `end`.
        """
        tokens = list(self._tokens(text, encoding, softmax(logits)))
        if aggregation in ("none", "simple"):
            pieces = [self._piece([token], token.scores, word=token.word, index=token.index) for token in tokens]
        else:
            pieces = [self._word(word, aggregation) for word in _words(tokens)]
        if aggregation == "none":
            return [_token_entity(piece) for piece in pieces if piece.label != _OUTSIDE]
        groups = [self._group(group) for group in _groups(pieces)]
        return [group for group in groups if group["entity_group"] != _OUTSIDE]

    def _tokens(self, text: str, encoding: Encoding, scores: NDArray[np.float32]) -> Iterator[_Token]:
        for index, (token_id, (start, end)) in enumerate(zip(encoding.ids, encoding.offsets, strict=True)):
            if encoding.special_tokens_mask[index]:
                continue
            word, source = self._tokenizer.id_to_token(token_id) or "", text[start:end]
            continues = start > 0 and " " not in text[start - 1 : start + 1]
            if self._marks_continuation:
                continues = len(word) != len(source)
            if token_id == self._unknown_id:
                word, continues = source, False
            yield _Token(index=index, word=word, start=start, end=end, scores=scores[index], continues=continues)

    def _piece(
        self, tokens: Sequence[_Token], scores: NDArray[np.float32], *, word: str, index: int | None = None
    ) -> _Piece:
        best = int(scores.argmax())
        return _Piece(
            label=self._labels.name(best),
            score=float(scores[best]),
            word=word,
            start=tokens[0].start,
            end=tokens[-1].end,
            index=index,
        )

    def _word(self, tokens: list[_Token], aggregation: Aggregation) -> _Piece:
        if aggregation == "first":
            scores = tokens[0].scores
        elif aggregation == "max":
            scores = max(tokens, key=lambda token: float(token.scores.max())).scores
        else:
            scores = np.mean([token.scores for token in tokens], axis=0)
        return self._piece(tokens, scores, word=self._joined([token.word for token in tokens]))

    def _group(self, pieces: list[_Piece]) -> dict[str, Any]:
        return {
            "entity_group": pieces[0].label.split("-", 1)[-1],
            "score": float(np.mean([piece.score for piece in pieces])),
            "word": self._joined([piece.word for piece in pieces]),
            "start": pieces[0].start,
            "end": pieces[-1].end,
        }

    def _joined(self, words: list[str]) -> str:
        decoder = self._tokenizer.decoder
        return str(decoder.decode(words)) if decoder is not None else " ".join(words)


def _words(tokens: list[_Token]) -> list[list[_Token]]:
    words: list[list[_Token]] = []
    for token in tokens:
        if words and token.continues:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _groups(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Neighbors of one kind; what begins an entity (B-) begins a group."""
    groups: list[list[_Piece]] = []
    for piece in pieces:
        if groups and _kind(piece) == _kind(groups[-1][-1]) and not piece.label.startswith("B-"):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _kind(piece: _Piece) -> str:
    return piece.label[2:] if piece.label.startswith(("B-", "I-")) else piece.label


def _token_entity(piece: _Piece) -> dict[str, Any]:
    return {
        "entity": piece.label,
        "score": piece.score,
        "index": piece.index,
        "word": piece.word,
        "start": piece.start,
        "end": piece.end,
    }


def _answers(finder: EntityFinder, model: Model, pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
    encodings = model.runner.encode(pairs)
    return [
        finder.entities(text, encoding, row, options.aggregation_strategy)
        for (text, _), encoding, row in zip(pairs, encodings, rows, strict=True)
    ]


def _load(model: Model) -> RowTask:
    finder = EntityFinder(model.runner.tokenizer, Labels(model.config), unknown_id=model.token_id("unk_token"))
    return RowTask(answers=partial(_answers, finder, model), reads_texts_again=True)


SERVED = ServedTask(load=_load, heads=("ForTokenClassification",), names_classes=True)
"""Tags of tokens, joined to entities."""
