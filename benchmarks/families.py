"""Owns the synthetic families of `search.py`: random errors of one shape on a transformer's candidates."""

import itertools
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from instances import Array, Table
from numpy.typing import NDArray

from optimum_ose.core.features import axis_features

SEQUENCE_LENGTH = 128


def synthetic_table(space: str, family: str, seed: int) -> Table:
    """A table of a transformer's candidates with random errors of a family."""
    axes, values, t, vocabulary = SPACES[space]
    names = tuple(sorted(axes))
    largest = dict(zip(axes, t, strict=True))
    columns = {axis: values[:, axes.index(axis)] for axis in names}
    generator = np.random.default_rng([seed, 0, sorted(FAMILIES).index(family), sorted(SPACES).index(space)])
    p, i, size = _costs(columns, vocabulary)
    p_t, i_t, _ = _costs({axis: np.array([value]) for axis, value in largest.items()}, vocabulary)
    table = Table(
        axes=names,
        values=np.stack([columns[axis] for axis in names], axis=1),
        parameter_size=p,
        inference_cost=i,
        size=size,
        error=FAMILIES[family](generator, axis_features(columns)),
        maximum_point=(float(p_t[0]), float(i_t[0])),
        is_monotone=family in MONOTONE,
    )
    return table.within(np.lexsort(table.values.T[::-1]))


def _costs(columns: Mapping[str, NDArray[np.int64]], vocabulary: int) -> tuple[Array, Array, Array]:
    """Parameters, multiply-adds and non-embedding parameters of a BERT-like encoder."""
    depth, hidden, inner = (columns[axis].astype(np.float64) for axis in ("depth", "hidden", "inner"))
    size = depth * (4 * hidden**2 + 2 * hidden * inner + 9 * hidden + inner)
    per_layer = 4 * SEQUENCE_LENGTH * hidden**2 + 2 * SEQUENCE_LENGTH**2 * hidden + 2 * SEQUENCE_LENGTH * hidden * inner
    return size + (vocabulary + 514) * hidden, depth * per_layer, size


def _grid(*lists: Iterable[int]) -> NDArray[np.int64]:
    return np.array(list(itertools.product(*lists)), dtype=np.int64)


_BORT = _grid((2, 4, 6, 8, 10, 12), (4, 8, 12, 16), (512, 768, 1024), (256, 512, 768, 1024, 3072))
SPACES = {
    "bort": (
        ("depth", "heads", "hidden", "inner"),
        _BORT[_BORT[:, 2] % _BORT[:, 1] == 0],
        (24, 16, 1024, 4096),
        50_265,
    ),
    "bert": (
        ("depth", "hidden", "inner"),
        _grid(range(1, 13), range(128, 769, 64), (512, 1024, 2048, 3072)),
        (12, 768, 3072),
        30_522,
    ),
}
"""Bort's 300 candidates below RoBERTa-large, where g hardly falls, and 528 below BERT-base, where g falls to zero."""


def _power_law(generator: np.random.Generator, x: Array) -> Array:
    exponents = generator.dirichlet(np.ones(x.shape[1])) * generator.uniform(0.3, 2.5)
    return np.asarray(generator.uniform(0, 0.4) + np.exp(-x @ exponents))


def _broken_law(generator: np.random.Generator, x: Array) -> Array:
    size = x @ generator.dirichlet(np.ones(x.shape[1]))
    bend, sharpness = generator.uniform(0.25, 0.75), generator.uniform(5, 40)
    before, after = generator.uniform(0.1, 3.5, 2)
    return np.asarray(
        np.exp(-before * size + (before - after) * np.logaddexp(0, sharpness * (size - bend)) / sharpness)
    )


def _interactions(generator: np.random.Generator, x: Array) -> Array:
    """The weakest axis limits what the others bring."""
    falls = np.exp(-x * generator.uniform(0.3, 2.5, x.shape[1]))
    power = generator.uniform(1, 8)
    return np.asarray(generator.uniform(0, 0.2) + np.mean(falls**power, axis=1) ** (1 / power))


def _plateaus(generator: np.random.Generator, x: Array) -> Array:
    size, num_levels = x @ generator.dirichlet(np.ones(x.shape[1])), generator.integers(3, 9)
    return np.asarray(np.exp(-generator.uniform(0.3, 2.5) * np.floor(size * num_levels) / num_levels))


def _bad_axis(generator: np.random.Generator, x: Array) -> Array:
    """Along one axis the error rises."""
    error, bad = _power_law(generator, x), generator.integers(x.shape[1])
    return np.asarray(error * np.exp(generator.uniform(0.1, 0.8) * x[:, bad]))


def _pockets(generator: np.random.Generator, x: Array) -> Array:
    """A power law with one to three balls in which training does worse, or better, than around them."""
    log_error = np.log(_power_law(generator, x))
    for _ in range(generator.integers(1, 4)):
        distance = np.linalg.norm(x - generator.random(x.shape[1]), axis=1)
        log_error += (distance < generator.uniform(0.15, 0.4)) * generator.uniform(-0.15, 0.4)
    return np.asarray(np.exp(log_error))


FAMILIES: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "power law": _power_law,
    "broken law": _broken_law,
    "interactions": _interactions,
    "plateaus": _plateaus,
    "bad axis": _bad_axis,
    "pockets": _pockets,
}
MONOTONE = ("power law", "broken law", "interactions", "plateaus")
