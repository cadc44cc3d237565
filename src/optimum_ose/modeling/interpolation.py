"""Interpolates the number of parameters of a model type as an exact polynomial in its axes, tensor by tensor."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.polynomial import Polynomial
from optimum_ose.modeling.axis import Axis, edits, shallow_values
from optimum_ose.modeling.probing import Build, Prober


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeFormula:
    """Parameters in embedding tables, and elsewhere, as polynomials over a common denominator."""

    embedding: Polynomial
    """Numerator of the parameters in embedding tables."""
    other: Polynomial
    """Numerator of all other parameters."""
    denominator: int
    """Of both: a tensor may be half as wide as an axis."""

    def evaluate(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Parameters of n architectures, shape (2, n): in embedding tables, and elsewhere; -1 where not whole."""
        count = len(next(iter(columns.values())))
        found = np.stack([np.broadcast_to(part.evaluate(columns), count) for part in (self.embedding, self.other)])
        return np.where(found % self.denominator == 0, found // self.denominator, -1)


@dataclass(frozen=True, slots=True)
class _Probes:
    """Builds around one base: with one axis changed, and with two."""

    base: Build
    values: Mapping[str, int]
    steps: Mapping[str, int]
    single: Mapping[str, Build]
    double: Mapping[tuple[str, str], Build]


def interpolate(
    prober: Prober,
    axes: Mapping[str, Axis],
    values: Mapping[str, Sequence[int]],
    *,
    head_sizes: Mapping[tuple[str, str], int],
    depths: Mapping[str, int] | None = None,
) -> SizeFormula | None:
    """The number of parameters as a polynomial, or None where the tensors are not what a polynomial can count.

    A tensor of a layer counts as often as there are layers like it; each dimension is a multilinear function of the
    axes. Neither is proven here: the caller compares the formula with builds that were not used for it.

    Args:
        prober: of the config.
        axes: the variables.
        values: of each axis; probes are taken from them.
        head_sizes: (hidden, heads) -> width of a head where it is kept; there the heads follow the width and are no
            variable of their own, and the formula holds only where they do.
        depths: fixes the depth axes, for models whose layers differ; by default the count is linear in each depth.
    """
    anchor = {name: axis.value for name, axis in axes.items()}
    anchor |= shallow_values(axes.values()) if depths is None else depths
    probes = _probe(
        prober,
        axes,
        values,
        anchor,
        fixed={*(depths or {}), *(heads for _, heads in head_sizes)},
        head_sizes=head_sizes,
    )
    if probes is None:
        return None
    parts: dict[bool, list[tuple[Polynomial, int]]] = {True: [], False: []}
    alike: dict[tuple[object, ...], tuple[Polynomial, int]] = {}
    for name in probes.base.shapes:
        signature = _signature(name, probes)
        if signature not in alike:
            found = _tensor(name, probes, axes)
            if found is None:
                return None
            alike[signature] = found
        parts[name in probes.base.embeddings].append(alike[signature])
    denominator = math.lcm(*(scale for _, scale in alike.values()))
    embedding, other = (
        Polynomial.of(
            (monomial, factor * (denominator // scale))
            for part, scale in parts[kind]
            for monomial, factor in part.terms
        )
        for kind in (True, False)
    )
    return SizeFormula(embedding=embedding, other=other, denominator=denominator)


def _probe(
    prober: Prober,
    axes: Mapping[str, Axis],
    values: Mapping[str, Sequence[int]],
    anchor: Mapping[str, int],
    *,
    fixed: Collection[str],
    head_sizes: Mapping[tuple[str, str], int],
) -> _Probes | None:
    def built(changes: Mapping[str, int]) -> Build | None:
        following = {
            heads: changes[hidden] // size for (hidden, heads), size in head_sizes.items() if hidden in changes
        }
        return prober.build(*edits(axes, {**anchor, **changes, **following}))

    base = built({})
    if base is None:
        return None
    steps: dict[str, int] = {}
    single: dict[str, Build] = {}
    for name, axis in axes.items():
        if name in fixed or len(values[name]) == 1:
            continue
        for probe in _probe_values(axis, anchor[name], values[name]):
            after = built({name: probe})
            if after is not None and (axis.role == "layers" or after.shapes.keys() == base.shapes.keys()):
                steps[name], single[name] = probe, after
                break
        else:
            return None
    double = {}
    for pair in sorted(_crossed(base, single)):
        after = built({name: steps[name] for name in pair})
        if after is None:
            return None
        double[pair] = after
    return _Probes(base, anchor, steps, single, double)


def _probe_values(axis: Axis, own: int, values: Sequence[int]) -> list[int]:
    """Values to try, those of the grid first; one layer less, or more, for a depth."""
    if axis.role == "layers":
        return [own - 1] if own > 1 else [own + 1]
    below = sorted((value for value in values if value != own), key=lambda value: abs(value - own / 2))
    return [*below[:3], 2 * own]


def _crossed(base: Build, single: Mapping[str, Build]) -> set[tuple[str, str]]:
    """Pairs of axes that one dimension of a tensor follows together."""
    pairs: set[tuple[str, str]] = set()
    for name, shape in base.shapes.items():
        others = {axis: build.shapes.get(name, shape) for axis, build in single.items()}
        for index, size in enumerate(shape):
            followed = [axis for axis, other in others.items() if index < len(other) and other[index] != size]
            pairs |= set(itertools.combinations(followed, 2))
    return pairs


def _signature(name: str, probes: _Probes) -> tuple[object, ...]:
    builds = (probes.base, *probes.single.values(), *probes.double.values())
    return tuple(build.shapes.get(name) for build in builds)


def _tensor(name: str, probes: _Probes, axes: Mapping[str, Axis]) -> tuple[Polynomial, int] | None:
    """Number of parameters of one tensor of the base and of those like it in other layers."""
    shape = probes.base.shapes[name]
    total, scale = Polynomial.constant(1), 1
    others = {}
    for axis, build in probes.single.items():
        if name in build.shapes:
            others[axis] = build.shapes[name]
            if len(others[axis]) != len(shape):
                return None
        elif axes[axis].role == "layers" and probes.steps[axis] < probes.values[axis]:
            total = total * (Polynomial.variable(axis) - (probes.values[axis] - 1))
        else:
            return None
    for index, size in enumerate(shape):
        followed = {axis: other[index] - size for axis, other in others.items() if other[index] != size}
        found = _dimension(name, index, followed, probes)
        if found is None:
            return None
        total, scale = total * found[0], scale * found[1]
    return total, scale


def _dimension(name: str, index: int, followed: Mapping[str, int], probes: _Probes) -> tuple[Polynomial, int] | None:
    """Size of one dimension, multilinear in the axes that it follows."""
    size = probes.base.shapes[name][index]
    moved = {axis: Polynomial.variable(axis) - probes.values[axis] for axis in followed}
    widths = {axis: probes.steps[axis] - probes.values[axis] for axis in followed}
    terms = [(Polynomial.constant(1), Fraction(size))]
    terms += [(moved[axis], Fraction(growth, widths[axis])) for axis, growth in followed.items()]
    for pair in itertools.combinations(followed, 2):
        both = probes.double[pair].shapes.get(name)
        if both is None:
            return None
        joint = both[index] - size - followed[pair[0]] - followed[pair[1]]
        if joint:
            terms.append((moved[pair[0]] * moved[pair[1]], Fraction(joint, widths[pair[0]] * widths[pair[1]])))
    scale = math.lcm(*(factor.denominator for _, factor in terms))
    total = Polynomial.constant(0)
    for term, factor in terms:
        total = total + term * int(factor * scale)
    return total, scale
