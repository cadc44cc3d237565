"""Owns what an instance of `search.py` is: a table of candidates whose true errors are known, and its noisy draws."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.search_space import SearchSpace

Array = NDArray[np.float64]
NUM_DRAWS = 64
"""Draws of noise that are made at once for each candidate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """N candidates with known truth.

    Attributes:
        axes: names of the axes, sorted, one per column of `values`.
        values: the candidates in lexicographic order, shape (N, number of axes).
        parameter_size: p, shape (N,).
        inference_cost: i, shape (N,).
        size: parameters outside the embeddings, which the size rule goes by, shape (N,).
        error: the true e, shape (N,).
        maximum_point: (p_T, i_T).
        is_monotone: whether no candidate is more accurate than one at least as large in every axis.
    """

    axes: tuple[str, ...]
    values: NDArray[np.int64]
    parameter_size: Array
    inference_cost: Array
    size: Array
    error: Array
    maximum_point: tuple[float, float]
    is_monotone: bool

    @property
    def savings(self) -> Array:
        """The part of W that is known without training."""
        p_t, i_t = self.maximum_point
        return (1 - self.parameter_size / p_t) * (1 - self.inference_cost / i_t)

    @property
    def ratios(self) -> Array:
        """True W of every candidate over the largest true W."""
        w = self.savings / self.error
        return np.asarray(w / w.max())

    def within(self, rows: NDArray[np.int64]) -> "Table":
        """The table of some of the candidates, ascending rows."""
        columns = ("values", "parameter_size", "inference_cost", "size", "error")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


@dataclass(slots=True)
class Draws:
    """What a method sees of a table: the k-th training of a candidate returns the same error to every method."""

    table: Table
    noise: float
    seed: int
    errors: dict[int, list[float]] = field(default_factory=dict)
    _normals: list[Array] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Evaluations so far."""
        return sum(map(len, self.errors.values()))

    def train(self, row: int) -> float:
        """One more noisy error of a candidate."""
        number = len(self.errors.setdefault(row, []))
        block, position = divmod(number, NUM_DRAWS)
        while len(self._normals) <= block:
            generator = np.random.default_rng([self.seed, 1, len(self._normals)])
            self._normals.append(generator.standard_normal((len(self.table.error), NUM_DRAWS)))
        error = float(self.table.error[row] * np.exp(self.noise * self._normals[block][row, position]))
        self.errors[row].append(error)
        return error

    def best(self) -> int:
        """The trained candidate of highest measured W; several trainings are averaged."""
        savings = self.table.savings
        return max(self.errors, key=lambda row: savings[row] / np.mean(self.errors[row]))


def search_space(table: Table) -> tuple[SearchSpace, dict[Architecture, int]]:
    """The table as a search space, and the row of each of its architectures."""
    return _search_space(table.axes, table.values.tobytes(), len(table.values))


@lru_cache(maxsize=64)
def _search_space(axes: tuple[str, ...], content: bytes, count: int) -> tuple[SearchSpace, dict[Architecture, int]]:
    values = np.frombuffer(content, dtype=np.int64).reshape(count, len(axes))
    largest = Architecture(dict(zip(axes, values.max(axis=0).tolist(), strict=True)))
    listed = [Architecture(dict(zip(axes, row, strict=True))) for row in values.tolist()]
    return SearchSpace.of(listed, maximum_point=largest), {entry: row for row, entry in enumerate(listed)}
