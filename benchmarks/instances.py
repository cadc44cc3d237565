"""Owns the instances of `search.py`: tables of candidates whose true errors are known, and their noisy draws."""

import csv
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.features import axis_features
from optimum_ose.core.search_space import SearchSpace

Array = NDArray[np.float64]
SEQUENCE_LENGTH = 128
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


@cache
def _search_space(axes: tuple[str, ...], content: bytes, count: int) -> tuple[SearchSpace, dict[Architecture, int]]:
    values = np.frombuffer(content, dtype=np.int64).reshape(count, len(axes))
    largest = Architecture(dict(zip(axes, values.max(axis=0).tolist(), strict=True)))
    listed = [Architecture(dict(zip(axes, row, strict=True))) for row in values.tolist()]
    return SearchSpace.of(listed, maximum_point=largest), {entry: row for row, entry in enumerate(listed)}


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


def trained_tables(folder: Path) -> dict[str, Table]:
    """Really trained networks: three sets of language models (log perplexity), one of XCiT (1 - accuracy)."""
    rows = _rows(folder / "lts_three_sets.csv")
    sets = sorted({row["set"] for row in rows})
    tables = {name: _language_models([row for row in rows if row["set"] == name and row["valid_ppl"]]) for name in sets}
    vision = [
        row for row in _rows(folder / "timm_xcit_deit_cait.csv") if row["family"] == "xcit" and "dist" in row["tag"]
    ]
    tables["xcit"] = _table(
        {
            (int(row["depth"]), int(row["width"]), int(row["img_size"]) // int(row["patch_size"])): (
                float(row["param_count_M"]),
                float(row["cpu_i9_10940x_fp32_ms"]),
                float(row["param_count_M"]),
                1 - float(row["top1"]) / 100,
            )
            for row in vision
            if row["cpu_i9_10940x_fp32_ms"]
        },
        ("depth", "hidden", "tokens_per_side"),
    )
    return tables


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


def _language_models(rows: list[dict[str, str]]) -> Table:
    """Cost: measured latency where the table has it, else multiply-adds for a sequence."""
    entries = {}
    for row in rows:
        depth, hidden = int(row["n_layer"]), int(row["d_model"])
        size = float(row["params_nonembedding"])
        operations = SEQUENCE_LENGTH * size + 2 * SEQUENCE_LENGTH**2 * depth * hidden
        point = depth, round(float(row["n_head_mean"]) * 1000), hidden, round(float(row["d_inner_mean"]))
        cost = float(row["latency_ms"]) if row["latency_ms"] else operations
        entries[point] = float(row["params_total"]), cost, size, float(np.log(float(row["valid_ppl"])))
    return _table(entries, ("depth", "heads_x1000", "hidden", "inner"))


def _table(entries: Mapping[tuple[int, ...], tuple[float, ...]], axes: tuple[str, ...]) -> Table:
    """A table from point -> (p, i, size, e); T is 5% above the largest of each cost, so that all have a W."""
    points = sorted(entries)
    p, i, size, error = np.array([entries[point] for point in points]).T
    return Table(
        axes=axes,
        values=np.array(points, dtype=np.int64),
        parameter_size=p,
        inference_cost=i,
        size=size,
        error=error,
        maximum_point=(1.05 * float(p.max()), 1.05 * float(i.max())),
        is_monotone=False,
    )
