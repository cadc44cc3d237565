"""Counts the parameters of architectures exactly: by a verified formula where there is one, else by building."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from transformers import PretrainedConfig

from optimum_ose.core.polynomial import Polynomial
from optimum_ose.modeling.axis import Axis, apply_values
from optimum_ose.modeling.building import build_on_meta
from optimum_ose.modeling.interpolation import SizeFormula, interpolate
from optimum_ose.modeling.probing import Prober, remember

Columns = Mapping[str, NDArray[np.int64]]


@final
class SizeModel:
    """Parameters in embedding tables, and elsewhere, of the architectures of one space.

    A formula is used only at the axis values for which it was verified; whatever else is asked is built and counted.

    Args:
        config: the maximum point.
        task: counts the head of this task too.
        axes: of the space.
        values: of each axis: where formulas are valid.
        head_sizes: (hidden, heads) -> width of a head, where it is kept; formulas are valid only there.
        formula: for all depths, if one was verified.
    """

    def __init__(
        self,
        config: PretrainedConfig,
        task: str | None,
        axes: Mapping[str, Axis],
        values: Mapping[str, tuple[int, ...]],
        *,
        head_sizes: Mapping[tuple[str, str], int],
        formula: SizeFormula | None,
    ) -> None:
        self._config = config
        self._task = task
        self._axes = axes
        self._values = values
        self._head_sizes = head_sizes
        self.formula = formula
        self._counted: dict[tuple[int, ...], tuple[int, int]] = {}
        self._by_depth: dict[tuple[int, ...], SizeFormula | None] = {}

    @property
    def has_formula(self) -> bool:
        """Whether one formula counts all candidates."""
        return self.formula is not None

    def sizes(self, columns: Columns) -> NDArray[np.int64]:
        """Parameters of n architectures, shape (2, n): in embedding tables, and elsewhere."""
        rows = np.stack([columns[axis] for axis in self._axes], axis=1)
        found = np.full((2, len(rows)), -1, dtype=np.int64)
        inside = self._is_inside(columns)
        if self.formula is not None and inside.any():
            found[:, inside] = self.formula.evaluate({axis: columns[axis][inside] for axis in self._axes})
        elif self.formula is None and inside.any():
            self._use_formulas_by_depth(found, columns, rows, inside)
        for index in np.flatnonzero(found[1] < 0):
            found[:, index] = self._count(tuple(rows[index].tolist()))
        return found

    def _is_inside(self, columns: Columns) -> NDArray[np.bool_]:
        on_grid = [np.isin(columns[axis], self._values[axis]) for axis in self._axes]
        whole = [columns[hidden] == size * columns[heads] for (hidden, heads), size in self._head_sizes.items()]
        return np.asarray(np.logical_and.reduce([*on_grid, *whole]))

    def _count(self, row: tuple[int, ...]) -> tuple[int, int]:
        if row not in self._counted:
            edited = apply_values(self._config, self._axes, dict(zip(self._axes, row, strict=True)))
            self._counted[row] = remember(build_on_meta(edited, self._task)).parameter_counts
        return self._counted[row]

    def _use_formulas_by_depth(
        self, found: NDArray[np.int64], columns: Columns, rows: NDArray[np.int64], inside: NDArray[np.bool_]
    ) -> None:
        """Where layers differ from each other, one formula for each combination of depths, with checks of its own."""
        is_depth = [axis.role == "layers" for axis in self._axes.values()]
        depths = rows[:, is_depth]
        for key in np.unique(depths[inside], axis=0):
            chosen = np.flatnonzero(inside & (depths == key).all(axis=1))
            formula = self._formula_at(tuple(key.tolist()), rows[chosen])
            if formula is not None:
                found[:, chosen] = formula.evaluate({axis: columns[axis][chosen] for axis in self._axes})

    def _formula_at(self, depth: tuple[int, ...], rows: NDArray[np.int64]) -> SizeFormula | None:
        checks = covering_rows(rows)
        if depth in self._by_depth or len(rows) < 2 * len(checks):
            return self._by_depth.get(depth)
        names = [name for name, axis in self._axes.items() if axis.role == "layers"]
        formula = interpolate(
            Prober(self._config, self._task),
            self._axes,
            self._values,
            head_sizes=self._head_sizes,
            depths=dict(zip(names, depth, strict=True)),
        )
        if formula is not None:
            columns = {axis: checks[:, index] for index, axis in enumerate(self._axes)}
            counted = np.array([self._count(tuple(row.tolist())) for row in checks]).T
            formula = formula if (formula.evaluate(columns) == counted).all() else None
        self._by_depth[depth] = formula
        return formula


def covering_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Some of n rows, in which every value of every column occurs, drawn at random but always the same."""
    order = np.random.default_rng(0).permutation(len(rows))
    seen: set[tuple[int, int]] = set()
    kept = []
    for index in order:
        values = set(enumerate(rows[index].tolist()))
        if not values <= seen:
            kept.append(index)
            seen |= values
    return np.asarray(rows[kept])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCount:
    """One part of a model's parameters as a quantity of `core.costs.CostModel`."""

    model: SizeModel
    """Counts."""
    in_embeddings: bool
    """Which part: embedding tables, or everything else."""

    def evaluate(self, columns: Columns) -> NDArray[np.int64]:
        """See `core.costs.Quantity`."""
        if not len(next(iter(columns.values()))):
            return np.zeros(0, dtype=np.int64)
        return np.asarray(self.model.sizes(columns)[0 if self.in_embeddings else 1])

    def polynomial(self) -> Polynomial | None:
        """See `core.costs.Quantity`."""
        formula = self.model.formula
        if formula is None or formula.denominator != 1:
            return None
        return formula.embedding if self.in_embeddings else formula.other
