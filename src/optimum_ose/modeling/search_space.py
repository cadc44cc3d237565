"""Derives the search space of a config: axes, default values, constraints and exact costs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PretrainedConfig

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.constraints import Constraint, Divides
from optimum_ose.core.costs import CostModel
from optimum_ose.core.polynomial import Polynomial
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InvalidArchitectureError
from optimum_ose.modeling.axes import HEADS, HIDDEN, INTERMEDIATE, LAYERS, axis_attributes
from optimum_ose.modeling.building import build_on_meta, edit_config, parameter_shapes, read_integer
from optimum_ose.modeling.dimension_map import DimensionMap, derive_dimension_map
from optimum_ose.modeling.operations import multiply_add_polynomial

_DEPTH_LIMIT = 8
"""At most this many depths by default."""
_WIDTH_SHARES = (1 / 12, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1)
_INNER_SHARES = (1 / 24, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1)
_WIDTH_STEP = 8
"""Default widths are multiples of this, so that vector units are filled."""


@dataclass(frozen=True, slots=True)
class HeadSize:
    """Every head keeps the size that it has in the maximum point, so that heads can be inherited whole."""

    size: int
    """Width of one head."""

    @property
    def axes(self) -> tuple[str, ...]:
        """See `Constraint.axes`."""
        return (HIDDEN, HEADS)

    @property
    def sentence(self) -> str:
        """See `Constraint.sentence`."""
        return f"{HIDDEN} is {self.size} times {HEADS}"

    def holds(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """See `Constraint.holds`."""
        return np.asarray(columns[HIDDEN] == self.size * columns[HEADS])

    def violation(self, architecture: Architecture) -> str:
        """See `Constraint.violation`."""
        return (
            f"{HIDDEN}={architecture[HIDDEN]} is not {self.size} times {HEADS}={architecture[HEADS]}; "
            f"that would be {self.size * architecture[HEADS]}"
        )


def derive_search_space(
    config: PretrainedConfig, *, task: str | None = None, **axes: int | Sequence[int]
) -> SearchSpace:
    """The search space of a config: every valid architecture at most as large as the config itself.

    Axes are found by probing (see `modeling.axes`). Default values: every depth up to eight, else eight at equal
    ratios; widths at fixed shares of the config's,
    rounded to whole heads; inner widths at fixed shares, rounded to multiples of 8. Heads keep their size, unless
    the user chooses the values
    of `hidden_size` or `num_attention_heads`; then any number of heads that divides the width is valid.

    Args:
        config: a Transformers config; it becomes the maximum point T.
        task: counts the head of this task too; None counts the bare `AutoModel`.
        **axes: values of an axis instead of the default ones; a single integer fixes it.

    Raises:
        UnsupportedModelError: if no axis, or no exact count, can be derived.
        InvalidArchitectureError: for an axis that the config does not have, or a value beyond the config's.
        InfeasibleError: if no combination of the values is valid.
    """
    attributes = axis_attributes(config, task)
    dimension_map = derive_dimension_map(config, task)
    maximum_point = Architecture({axis: read_integer(config, attribute) for axis, attribute in attributes.items()})
    unknown = sorted(set(axes) - set(attributes))
    if unknown:
        raise InvalidArchitectureError(
            f"model type {config.model_type!r} has the axes {', '.join(attributes)}",
            f"got {', '.join(unknown)}",
            "Use these names",
        )
    values = _default_values(maximum_point)
    for axis, chosen in axes.items():
        values[axis] = (chosen,) if isinstance(chosen, int) else tuple(int(value) for value in chosen)
    values = _regular(values, config, task, dimension_map, chosen=axes)
    return SearchSpace(
        values,
        maximum_point=maximum_point,
        constraints=_constraints(maximum_point, free_heads=bool({HIDDEN, HEADS} & set(axes))),
        cost_model=CostModel(
            embedding_parameters=_count(dimension_map, is_embedding=True),
            other_parameters=_count(dimension_map, is_embedding=False),
            multiply_adds=multiply_add_polynomial(
                config, dimension_map, task=task, attributes=attributes, values=dict(maximum_point)
            ),
        ),
    )


def _regular(
    values: Mapping[str, tuple[int, ...]],
    config: PretrainedConfig,
    task: str | None,
    dimension_map: DimensionMap,
    *,
    chosen: Collection[str],
) -> dict[str, tuple[int, ...]]:
    """The values at which the model has the tensors that the map says: ELECTRA drops a projection at one width.

    Raises:
        InvalidArchitectureError: if the user chose another value.
    """
    attributes = axis_attributes(config, task)
    own = {axis: read_integer(config, attribute) for axis, attribute in attributes.items()}
    kept: dict[str, tuple[int, ...]] = {}
    for axis, candidates in values.items():
        regular = []
        for value in candidates:
            point = own | {axis: value} | _fitting(axis, value, own)
            built = build_on_meta(edit_config(config, {attributes[name]: size for name, size in point.items()}), task)
            if value > own[axis] or dimension_map.shapes(point) == parameter_shapes(built):
                regular.append(value)
            elif axis in chosen:
                raise InvalidArchitectureError(
                    f"model type {config.model_type!r} must have the same tensors at every {axis}",
                    f"at {value} it has others",
                    "Choose another value",
                )
        kept[axis] = tuple(regular)
    return kept


def _fitting(axis: str, value: int, own: Mapping[str, int]) -> dict[str, int]:
    """Width and heads must fit each other when one of them is changed alone."""
    if not {HIDDEN, HEADS} <= set(own):
        return {}
    return {HIDDEN: {HEADS: 1}, HEADS: {HIDDEN: own[HIDDEN] // own[HEADS] * value}}.get(axis, {})


def _count(dimension_map: DimensionMap, *, is_embedding: bool) -> Polynomial:
    total = Polynomial.constant(0)
    for tensor in dimension_map.tensors:
        if tensor.is_embedding == is_embedding:
            total = total + tensor.polynomial()
    return total


def _default_values(maximum_point: Architecture) -> dict[str, tuple[int, ...]]:
    values: dict[str, tuple[int, ...]] = {axis: (value,) for axis, value in maximum_point.items()}
    if LAYERS in maximum_point:
        depth = maximum_point[LAYERS]
        spaced = range(1, depth + 1) if depth <= _DEPTH_LIMIT else np.geomspace(1, depth, _DEPTH_LIMIT)
        values[LAYERS] = tuple(sorted({round(layers) for layers in spaced}))
    if HIDDEN in maximum_point:
        step = maximum_point[HIDDEN] // maximum_point[HEADS] if HEADS in maximum_point else _WIDTH_STEP
        values[HIDDEN] = _shares(maximum_point[HIDDEN], _WIDTH_SHARES, step)
        if HEADS in maximum_point:
            values[HEADS] = tuple(width // step for width in values[HIDDEN])
    if INTERMEDIATE in maximum_point:
        values[INTERMEDIATE] = _shares(maximum_point[INTERMEDIATE], _INNER_SHARES, _WIDTH_STEP)
    return values


def _shares(largest: int, shares: Sequence[float], step: int) -> tuple[int, ...]:
    rounded = {max(step, round(largest * share / step) * step) for share in shares if share < 1}
    return tuple(sorted({value for value in rounded if value < largest} | {largest}))


def _constraints(maximum_point: Architecture, *, free_heads: bool) -> tuple[Constraint, ...]:
    if not {HIDDEN, HEADS} <= set(maximum_point):
        return ()
    if free_heads or maximum_point[HIDDEN] % maximum_point[HEADS]:
        return (Divides(divisor=HEADS, dividend=HIDDEN),)
    return (HeadSize(maximum_point[HIDDEN] // maximum_point[HEADS]),)
