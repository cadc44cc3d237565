"""Default values of the axes: a few hundred to ten thousand useful candidates, widths that fill vector units."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from optimum_ose.modeling.axis import Axis

MAX_CANDIDATES = 10_000
"""Default grids hold at most this many candidates before constraints."""
MIN_CANDIDATES = 100
"""Below this, axes without a standard role get several values too."""
_DEPTH_LIMIT = 8
"""At most this many depths by default."""
_WIDTH_SHARES = (1 / 12, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1)
_INNER_SHARES = (1 / 24, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1)
_WIDTH_STEP = 8
"""Default widths are multiples of this, so that vector units are filled."""
_NARROW = 64
"""Widths up to this are halved instead: few multiples of 8 lie below."""


def head_sizes(axes: Mapping[str, Axis]) -> dict[tuple[str, str], int]:
    """Width of one head for every pair of a hidden and a heads axis that belong together and divide."""
    sizes = {}
    for heads in axes.values():
        partners = [
            axis
            for axis in axes.values()
            if axis.role == "hidden" and heads.scope in _scopes(axis) and axis.index in ("", heads.index)
        ]
        if heads.role == "heads" and len(partners) == 1 and partners[0].value % heads.value == 0:
            sizes[partners[0].name, heads.name] = partners[0].value // heads.value
    return sizes


def _scopes(axis: Axis) -> set[str]:
    """Nested configs whose width an axis is: its own, and those in which an equal width is coupled to it."""
    return {axis.scope} | {path[: path.rfind(".") + 1] for path, other in axis.coupled.items() if other == axis.value}


def default_values(axes: Mapping[str, Axis], tied: Mapping[tuple[str, str], int]) -> dict[str, tuple[int, ...]]:
    """Values of every axis.

    Args:
        axes: by name.
        tied: (hidden, heads) -> head size that is kept; such heads follow the width.
    """
    values = {}
    for name, axis in axes.items():
        sizes = [size * _group(axes[heads], axes) for (hidden, heads), size in tied.items() if hidden == name]
        values[name] = _values_of(axis, step=math.lcm(*sizes) if sizes else None)
        values[name] = tuple(value for value in values[name] if value % axis.step == 0)
    followers = {heads for _, heads in tied}
    values = _thinned(values, followers, axes)
    for (hidden, heads), size in tied.items():
        values[heads] = tuple(sorted({width // size for width in values[hidden]}))
    return values


def _group(heads: Axis, axes: Mapping[str, Axis]) -> int:
    """Heads come in groups that share keys and values; in groups as large as leaves eight widths or so."""
    shared = [axis.value for axis in axes.values() if axis.role == "kv_heads" and axis.scope == heads.scope]
    fitting = [size for size in _divisors(shared[0]) if heads.value >= 8 * size] if shared else []
    return max((size for size in fitting if heads.value % size == 0), default=1)


def _values_of(axis: Axis, *, step: int | None) -> tuple[int, ...]:
    if axis.role == "layers":
        spaced = range(1, axis.value + 1) if axis.value <= _DEPTH_LIMIT else np.geomspace(1, axis.value, _DEPTH_LIMIT)
        return tuple(sorted({round(layers) for layers in spaced}))
    if axis.role in ("heads", "kv_heads"):
        return _divisors(axis.value)
    if axis.value <= _NARROW and not step:
        return _halvings(axis.value)
    if axis.role == "hidden":
        return _shares(axis.value, _WIDTH_SHARES, step or _WIDTH_STEP)
    return _shares(axis.value, _INNER_SHARES if axis.role == "intermediate" else (1 / 4, 1 / 2, 1), _WIDTH_STEP)


def _shares(largest: int, shares: Sequence[float], step: int) -> tuple[int, ...]:
    rounded = {max(step, round(largest * share / step) * step) for share in shares if share < 1}
    return tuple(sorted({value for value in rounded if value < largest} | {largest}))


def _divisors(value: int) -> tuple[int, ...]:
    return tuple(divisor for divisor in range(1, value + 1) if value % divisor == 0)


def _halvings(value: int) -> tuple[int, ...]:
    if value <= _WIDTH_STEP:
        return tuple(range(1, value + 1))
    halved = [value]
    while halved[-1] % 2 == 0 and halved[-1] > _WIDTH_STEP:
        halved.append(halved[-1] // 2)
    return tuple(sorted(halved))


def _thinned(
    values: Mapping[str, tuple[int, ...]], followers: Collection[str], axes: Mapping[str, Axis]
) -> dict[str, tuple[int, ...]]:
    """Fewer values per axis, ends kept, until the grid is small enough; axes of least weight are fixed last."""
    thinned = dict(values)
    while math.prod(len(found) for name, found in thinned.items() if name not in followers) > MAX_CANDIDATES:
        name = max((name for name in thinned if name not in followers), key=lambda name: len(thinned[name]))
        count = len(thinned[name]) - 1
        if count < 2:
            name = min(
                (name for name in thinned if name not in followers and len(thinned[name]) > 1),
                key=lambda name: (axes[name].role == "hidden", axes[name].value),
            )
            count = 1
        positions = np.linspace(len(thinned[name]) - 1, 0, count).round().astype(int)
        thinned[name] = tuple(sorted({thinned[name][position] for position in positions}))
    return thinned
