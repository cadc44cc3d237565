"""Which candidates each step of the training trains: the largest, the smallest, and some drawn at random."""

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture


@final
class Sandwich:
    """The sandwich rule. Source: Yu and Huang, arXiv:1903.05134.

    Args:
        candidates: that may be drawn.
        costs: of each, shape (n,).
        num_random: candidates drawn for each step.
        seed: of the draws; those of a step depend on nothing else.
    """

    def __init__(
        self, candidates: Sequence[Architecture], costs: NDArray[np.int64], *, num_random: int, seed: int
    ) -> None:
        self._candidates = candidates
        self.largest, self.smallest = (candidates[int(index)] for index in (np.argmax(costs), np.argmin(costs)))
        self._num_random = num_random
        self._seed = seed

    def views(self, step: int) -> tuple[Architecture, ...]:
        """The candidates of a step, each once."""
        draw = np.random.default_rng(np.random.SeedSequence([self._seed, step]))
        drawn = draw.integers(len(self._candidates), size=self._num_random)
        found = (self.largest, self.smallest, *(self._candidates[int(index)] for index in drawn))
        return tuple(dict.fromkeys(found))
