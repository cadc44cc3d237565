"""Owns the search space Xi: the axes, the valid candidates, and their exact costs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.candidates import Candidates, grid_candidates
from optimum_ose.core.constraints import Constraint
from optimum_ose.core.costs import SEQUENCE_LENGTH, CostModel
from optimum_ose.exceptions import InvalidArchitectureError
from optimum_ose.guards import require_kind


@final
class SearchSpace:
    """The finite set Xi of candidate architectures: a grid of axis values, less what breaks a constraint.

    Only valid candidates count, iterate and are members. They come in lexicographic order of their values, axes sorted
    by name, whatever the order in which anything was given.

    Args:
        axes: axis name -> its values.
        maximum_point: T, the architecture that no candidate exceeds in any axis (Definition 8 of arXiv:2010.08512).
            It need not be a candidate itself.
        constraints: rules that every candidate obeys.
        cost_model: exact sizes and operation counts, if they are known.

    Raises:
        InvalidArchitectureError: if an axis is empty, exceeds the maximum point, or is not one of its axes.
        InvalidConfigError: if the grid is too large to enumerate.
        InfeasibleError: if no combination of values obeys all constraints.
    """

    def __init__(
        self,
        axes: Mapping[str, Sequence[int]],
        *,
        maximum_point: Architecture,
        constraints: Sequence[Constraint] = (),
        cost_model: CostModel | None = None,
    ) -> None:
        self._axes = {axis: _axis_values(axis, axes[axis]) for axis in sorted(axes)}
        self._maximum_point = maximum_point
        self._constraints = tuple(constraints)
        self._cost_model = cost_model
        _require_within(self._axes, maximum_point)
        self._candidates = grid_candidates(self._axes, self._constraints)

    @staticmethod
    def of(architectures: Iterable[Architecture], *, maximum_point: Architecture | None = None) -> "SearchSpace":
        """A search space from an explicit list, such as a table of trained networks.

        Args:
            architectures: the candidates, all over the same axes; repetitions count once.
            maximum_point: T; by default the candidate that is the largest in every axis.

        Raises:
            InvalidArchitectureError: if the list is empty, mixes axes, exceeds T, or none is largest in every axis.
        """
        require_kind(architectures, Iterable, "architectures", "Pass a list of Architecture")
        listed = list(architectures)
        for architecture in listed:
            require_kind(architecture, Architecture, "each of architectures", "Pass a list of Architecture")
        if not listed or any(architecture.keys() != listed[0].keys() for architecture in listed):
            raise InvalidArchitectureError(
                "A search space lists at least one architecture, and all over the same axes",
                f"{len(listed)} came, over {len({tuple(architecture) for architecture in listed})} sets of axes",
                "List architectures with the same axes.",
            )
        names = tuple(listed[0])
        rows = np.unique(np.array([tuple(a.values()) for a in listed], dtype=np.int64), axis=0)
        if maximum_point is None:
            maximum_point = _largest(names, rows)
        space = SearchSpace.__new__(SearchSpace)
        space._axes = {axis: tuple(np.unique(rows[:, index]).tolist()) for index, axis in enumerate(names)}
        space._maximum_point, space._constraints, space._cost_model = maximum_point, (), None
        _require_within(space._axes, maximum_point)
        space._candidates = Candidates(names, rows)
        return space

    @property
    def axes(self) -> Mapping[str, tuple[int, ...]]:
        """Axis -> its values, ascending; axes sorted by name."""
        return MappingProxyType(self._axes)

    @property
    def maximum_point(self) -> Architecture:
        """T: no candidate exceeds it in any axis."""
        return self._maximum_point

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The rules that every candidate obeys."""
        return self._constraints

    @property
    def cost_model(self) -> CostModel | None:
        """The exact sizes and operation counts, if they are known."""
        return self._cost_model

    @property
    def candidates(self) -> Candidates:
        """All candidates as a sequence; its slices are cheap."""
        return self._candidates

    def columns(self, architectures: Sequence[Architecture]) -> dict[str, NDArray[np.int64]]:
        """The values of n architectures, axis by axis.

        Returns:
            axis -> int64 array of shape (n,).

        Raises:
            InvalidArchitectureError: if an architecture has other axes than this space.
        """
        if isinstance(architectures, Candidates):
            columns = architectures.columns
            if columns.keys() == self._axes.keys():
                return columns
        for architecture in architectures:
            self._require_same_axes(architecture)
        return {axis: np.array([a[axis] for a in architectures], dtype=np.int64) for axis in self._axes}

    def parameter_size(self, architectures: Sequence[Architecture], count_embeddings: bool = True) -> NDArray[np.int64]:
        """Exact number of parameters of n architectures.

        Args:
            architectures: candidates, the maximum point, or any other over the same axes.
            count_embeddings: whether the embeddings' parameters are included.

        Returns:
            int64 array of shape (n,), in parameters.

        Raises:
            InvalidArchitectureError: if the space has no cost model, or an architecture has other axes.
        """
        cost_model, columns = self._require_cost_model(), self.columns(architectures)
        size = cost_model.other_parameters.evaluate(columns)
        return size + cost_model.embedding_parameters.evaluate(columns) if count_embeddings else size

    def multiply_adds(self, architectures: Sequence[Architecture], sequence_length: int = 128) -> NDArray[np.int64]:
        """Exact number of multiply-add operations of n architectures for one sequence.

        Args:
            architectures: candidates, the maximum point, or any other over the same axes.
            sequence_length: tokens (or patches) in the sequence.

        Returns:
            int64 array of shape (n,), in multiply-adds.

        Raises:
            InvalidArchitectureError: if the space has no cost model, or an architecture has other axes.
        """
        length = np.full(len(architectures), sequence_length, dtype=np.int64)
        return self._require_cost_model().multiply_adds.evaluate(
            {**self.columns(architectures), SEQUENCE_LENGTH: length}
        )

    def __len__(self) -> int:
        return len(self._candidates)

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self._candidates)

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture) or architecture.keys() != self._axes.keys():
            return False
        matches = [self._candidates.columns[axis] == value for axis, value in architecture.items()]
        return bool(np.logical_and.reduce(matches).any())

    def __repr__(self) -> str:
        axes = ", ".join(f"{axis}: {len(values)} values" for axis, values in self._axes.items())
        return f"SearchSpace({len(self)} candidates; {axes}; T = {self._maximum_point!r})"

    def _require_cost_model(self) -> CostModel:
        if self._cost_model is None:
            raise InvalidArchitectureError(
                "Sizes and operation counts are computed from a cost model",
                "this search space has none",
                "Pass cost_model=..., derive the space from a config, or give extract() callables of your own.",
            )
        return self._cost_model

    def _require_same_axes(self, architecture: Architecture) -> None:
        if architecture.keys() != self._axes.keys():
            raise InvalidArchitectureError(
                f"Architectures of this space have the axes {', '.join(self._axes)}",
                f"one with {', '.join(architecture)} came",
                "Name exactly these axes.",
            )


def _axis_values(axis: str, values: Sequence[int]) -> tuple[int, ...]:
    if not len(values):
        raise InvalidArchitectureError(
            "Every axis has at least one value", f"{axis} has none", "List its values, or drop it."
        )
    return tuple(sorted({Architecture({axis: value})[axis] for value in values}))


def _require_within(axes: Mapping[str, tuple[int, ...]], maximum_point: Architecture) -> None:
    if axes.keys() != maximum_point.keys():
        raise InvalidArchitectureError(
            "The maximum point has the same axes as the search space",
            f"it has {', '.join(maximum_point)}, the space {', '.join(sorted(axes))}",
            "Name the same axes in both.",
        )
    beyond = [
        f"{axis}={values[-1]} > {maximum_point[axis]}"
        for axis, values in axes.items()
        if values[-1] > maximum_point[axis]
    ]
    if beyond:
        raise InvalidArchitectureError(
            "No candidate exceeds the maximum point in any axis",
            ", ".join(beyond),
            "Drop these values, or start from a larger maximum point.",
        )


def _largest(names: tuple[str, ...], rows: NDArray[np.int64]) -> Architecture:
    largest = rows.max(axis=0)
    if not (rows == largest).all(axis=1).any():
        raise InvalidArchitectureError(
            "Without a maximum point, one candidate must be the largest in every axis",
            f"none is {dict(zip(names, largest.tolist(), strict=True))}",
            "Pass maximum_point=Architecture(...).",
        )
    return Architecture(dict(zip(names, largest.tolist(), strict=True)))
