"""tau for text: new token sequences near given ones, by neighboring tokens or by a span of another sequence."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import final

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from optimum_ose.finetuning.pool import Features

_WORD_MARKERS = ("##", "Ġ", "▁")  # continuation (WordPiece), start of a word (byte-level BPE, SentencePiece)


@final
class TokenNeighbors:
    """Which tokens may replace a token: the nearest in an embedding space, by cosine, of its own kind.

    The kinds are words and numbers, each with and without the tokenizer's mark for word pieces ("##", "Ġ", "▁").
    Special tokens, punctuation and unused entries are of no kind: they are never replaced and never proposed.

    Args:
        embeddings: (vocabulary, width) input embeddings of the labeler.
        tokenizer: names the tokens.
        num_neighbors: proposals per token, >= 1.
    """

    def __init__(
        self, embeddings: NDArray[np.float32], tokenizer: PreTrainedTokenizerBase, *, num_neighbors: int
    ) -> None:
        size = min(len(embeddings), len(tokenizer))
        self.special_ids = frozenset(tokenizer.all_special_ids)
        self._kinds = token_kinds(tokenizer, size=size)
        norms = np.linalg.norm(embeddings[:size], axis=1, keepdims=True)
        directions = embeddings[:size] / np.maximum(norms, np.finfo(np.float32).tiny)
        kinds = [kind for kind in np.unique(self._kinds) if kind]
        self._alike = {kind: np.flatnonzero(self._kinds == kind) for kind in kinds}
        self._directions = {kind: directions[alike] for kind, alike in self._alike.items()}
        self._num_neighbors = num_neighbors
        self.of = cache(self._nearest)

    def _nearest(self, token: int) -> tuple[int, ...]:
        """The ids that may replace a token id, nearest first; none for a token that must stay."""
        if token >= len(self._kinds) or not self._kinds[token]:
            return ()
        alike, directions = self._alike[self._kinds[token]], self._directions[self._kinds[token]]
        own = int(np.searchsorted(alike, token))
        cosines = directions @ directions[own]
        cosines[own] = -np.inf
        count = min(self._num_neighbors, len(alike) - 1)
        nearest = np.sort(np.argpartition(-cosines, count)[:count])
        return tuple(int(index) for index in alike[nearest[np.argsort(-cosines[nearest], kind="stable")]])


def replace_tokens(
    features: Features, *, neighbors: TokenNeighbors, probability: float, generator: np.random.Generator
) -> Features:
    """A copy of a row in which each replaceable token gives way to one of its neighbors with a probability.

    At least one does. Length, special tokens, padding, `token_type_ids` and the labels of tokens stay; so does a row
    without such a token. What the texts of a pair share they go on sharing: a token of the second that stands in the
    first as well becomes what it became there.
    """
    ids = list(features["input_ids"])
    leaders = _leaders(ids, neighbors.special_ids)
    replaceable = [position not in leaders and bool(neighbors.of(token)) for position, token in enumerate(ids)]
    for position in choose_positions(replaceable, probability, generator=generator):
        ids[position] = int(generator.choice(neighbors.of(ids[position])))
    for position, leader in leaders.items():
        ids[position] = ids[leader]
    return {**features, "input_ids": ids}


def _leaders(ids: Sequence[int], special_ids: Collection[int]) -> dict[int, int]:
    """For each position of a later text whose token stands in the first one too: where it does, first."""
    first, *later = _runs(ids, special_ids) or [[]]
    places = {ids[position]: position for position in reversed(first)}
    return {position: places[ids[position]] for run in later for position in run if ids[position] in places}


def choose_positions(
    replaceable: Sequence[bool], probability: float, *, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Positions to replace: each replaceable one with a probability, and at least one where there is any."""
    positions = np.flatnonzero(replaceable)
    chosen = generator.random(len(positions)) < probability
    if len(positions) and not chosen.any():
        chosen[generator.integers(len(positions))] = True
    return positions[chosen]


def interpolate(
    features: Features, other: Features, *, special_ids: Collection[int], generator: np.random.Generator
) -> Features:
    """A copy of a row in which a random span of each of its texts gives way to the same span of another row's text.

    The texts of a row (one, or two in a pair) are the runs of tokens between special ones. Length, special tokens,
    padding and `token_type_ids` stay; a span ends where the shorter text ends. `labels` of tokens go with them.
    """
    moving = [name for name in ("input_ids", "labels") if name in features]
    moved = {name: list(features[name]) for name in moving}
    runs = zip(_runs(features["input_ids"], special_ids), _runs(other["input_ids"], special_ids), strict=False)
    for mine, theirs in runs:
        shared = min(len(mine), len(theirs))
        start, stop = sorted(int(bound) for bound in generator.choice(shared + 1, size=2, replace=False))
        for offset in range(start, stop):
            for name in moving:
                moved[name][mine[offset]] = other[name][theirs[offset]]
    return {**features, **moved}


def _runs(ids: Sequence[int], special_ids: Collection[int]) -> list[list[int]]:
    """Positions of the tokens between special ones, one list per text."""
    runs: list[list[int]] = []
    inside = False
    for position, token in enumerate(ids):
        is_text = token not in special_ids
        if is_text and not inside:
            runs.append([])
        if is_text:
            runs[-1].append(position)
        inside = is_text
    return runs


def token_kinds(tokenizer: PreTrainedTokenizerBase, *, size: int) -> NDArray[np.str_]:
    """The kind of each of the first token ids; "" for those that are never replaced and never proposed."""
    special = frozenset(tokenizer.all_special_ids)
    names = tokenizer.convert_ids_to_tokens(list(range(size)))
    return np.array(["" if index in special else _kind(name) for index, name in enumerate(names)])


def _kind(name: str) -> str:
    marker = next((marker for marker in _WORD_MARKERS if name.startswith(marker)), "")
    bare = name.removeprefix(marker)
    return f"{marker}word" if bare.isalpha() else f"{marker}number" if bare.isdigit() else ""
