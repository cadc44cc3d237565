"""Owns sequences of candidates held as one integer array, and the enumeration of a grid into one."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import final, overload

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.constraints import Constraint
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError

_CHUNK = 1 << 18
_MAX_GRID_SIZE = 10**8
"""Combinations of axis values that are enumerated; about a minute of work."""


@final
class Candidates(Sequence[Architecture]):
    """A sequence of architectures over the same axes, held as one integer array so that millions of them stay cheap.

    Args:
        axes: names of the axes, one per column.
        rows: int64 array of shape (n, number of axes).
    """

    __slots__ = ("_axes", "_rows")

    def __init__(self, axes: Iterable[str], rows: NDArray[np.int64]) -> None:
        self._axes = tuple(axes)
        self._rows = rows

    @property
    def columns(self) -> dict[str, NDArray[np.int64]]:
        """Axis -> int64 array of shape (n,)."""
        return {axis: self._rows[:, index] for index, axis in enumerate(self._axes)}

    def take(self, indices: NDArray[np.int64]) -> "Candidates":
        """The architectures at some positions, in that order."""
        return Candidates(self._axes, self._rows[indices])

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Architecture: ...
    @overload
    def __getitem__(self, index: slice) -> "Candidates": ...
    def __getitem__(self, index: int | slice) -> "Architecture | Candidates":
        if isinstance(index, slice):
            return Candidates(self._axes, self._rows[index])
        return Architecture(dict(zip(self._axes, self._rows[index].tolist(), strict=True)))


def grid_candidates(axes: Mapping[str, tuple[int, ...]], constraints: Sequence[Constraint]) -> Candidates:
    """The grid points that obey all constraints, in lexicographic order, enumerated in chunks to bound the memory.

    Args:
        axes: axis -> its values, ascending.
        constraints: rules over these axes.

    Raises:
        InvalidConfigError: if the grid is too large to enumerate.
        InfeasibleError: if no point obeys all constraints; it names the tightest.
    """
    shape = tuple(len(values) for values in axes.values())
    total = math.prod(shape)
    if total > _MAX_GRID_SIZE:
        raise InvalidConfigError(
            f"A search space combines at most {_MAX_GRID_SIZE:,} axis values",
            f"{total:,} combinations came",
            "Give fewer values per axis, or fix an axis.",
        )
    values = {axis: np.array(listed, dtype=np.int64) for axis, listed in axes.items()}
    obeyed = np.zeros(len(constraints), dtype=np.int64)
    parts = []
    for start in range(0, total, _CHUNK):
        digits = np.unravel_index(np.arange(start, min(start + _CHUNK, total)), shape)
        columns = {axis: values[axis][digit] for axis, digit in zip(axes, digits, strict=True)}
        masks = [rule.holds(columns) for rule in constraints]
        obeyed += np.array([mask.sum() for mask in masks], dtype=np.int64)
        valid = np.logical_and.reduce(masks) if masks else slice(None)
        parts.append(np.stack(list(columns.values()), axis=1)[valid])
    rows = np.concatenate(parts)
    if not len(rows):
        tightest = int(np.argmin(obeyed))
        raise InfeasibleError(
            "At least one combination of the axis values obeys every constraint",
            f"none of {total} does; the tightest, '{constraints[tightest].sentence}', holds for {obeyed[tightest]}",
            f"Add values to {' or '.join(constraints[tightest].axes)}.",
        )
    return Candidates(axes, rows)
