"""Pruning against optimal subarchitecture extraction, on the toy of the OSE paper: two linear layers, 72 -> 40.

Pruning sets numbers to zero: the arrays keep their shapes, so size and cost stay what they were on ordinary hardware.
OSE chooses smaller arrays. Both start here from the same network, two blocks of a 4x3 and a 4x4 layer, and are judged
by the same rows.

    python examples/pruning_vs_ose.py --output out/pruning_vs_ose.png

The paper gives the sizes, 2 (4*3 + 4 + 4*4 + 4) = 72 and 2 (3*3 + 3 + 3*2 + 2) = 40. Ours: that its factor 2 means two
blocks, the rectifier between the layers, and the task, which needs three hidden values and two outputs.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from optimum_ose import Architecture, SearchSpace, extract

Array = NDArray[np.float64]
NUM_BLOCKS, NUM_INPUTS = 2, 3
MAXIMUM_POINT = Architecture(hidden=4, outputs=4)
"""T, in the paper's notation (2, 4, 3, 4, 4)."""
NOISE = 0.1
"""Standard deviation of what no network can know about the answers."""

LEEWAY = 1.5
"""Pruning goes on until the error of T has grown by this factor."""


@dataclass(frozen=True, slots=True)
class Block:
    """y = B relu(A x + a) + b; each matrix holds its bias as last column."""

    first: Array
    second: Array


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs (blocks, rows, 3) and answers (blocks, rows, 4)."""

    x: Array
    y: Array


def main() -> None:
    """Extract, prune, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("out/pruning_vs_ose.png"), help="the picture")
    parser.add_argument("--seed", type=int, default=0, help="of rows and weights")
    options = parser.parse_args()
    found = compare(options.seed)
    print(found["result"])
    print(f"T         {found['size_of_t']} numbers, error {found['error_of_t']:.4f}")
    print(f"OSE       {found['size']} numbers, error {found['error']:.4f}: smaller arrays")
    print(
        f"pruning   {found['size_of_t']} numbers, error {found['pruned_error']:.4f}: the arrays of T, "
        f"{found['num_zeros']} of their numbers are zero"
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(found, options.output)
    print(f"drawn in {options.output}")


def compare(seed: int = 0) -> dict[str, Any]:
    """Both ways from the same T: sizes, errors on held-out rows, networks."""
    generator = np.random.default_rng(seed)
    train, test, firsts = _task(generator)
    full = fitted(firsts, MAXIMUM_POINT, train)
    space = SearchSpace(
        {"hidden": (1, 2, 3, 4), "outputs": (1, 2, 3, 4)},
        maximum_point=MAXIMUM_POINT,
    )
    result = extract(
        space,
        parameter_size=lambda candidates: np.array([parameter_size(c) for c in candidates]),
        inference_cost=lambda candidates: np.array([multiply_adds(c) for c in candidates]),
        error=lambda candidate, _: relative_error(fitted(firsts, candidate, train), test),
        method="exhaustive",
    )
    extracted = fitted(firsts, result.architecture, train)
    pruned, num_zeros = prune(full, lambda blocks: relative_error(blocks, test) <= LEEWAY * relative_error(full, test))
    return {
        "result": result,
        "size": parameter_size(result.architecture),
        "size_of_t": parameter_size(MAXIMUM_POINT),
        "error": relative_error(extracted, test),
        "error_of_t": relative_error(full, test),
        "pruned_error": relative_error(pruned, test),
        "num_zeros": num_zeros,
        "networks": {"T": full, "pruned": pruned, "extracted": extracted},
    }


def parameter_size(candidate: Architecture) -> int:
    """p: weights and biases of all blocks."""
    hidden, outputs = candidate.hidden, candidate.outputs
    return NUM_BLOCKS * (hidden * NUM_INPUTS + hidden + outputs * hidden + outputs)


def multiply_adds(candidate: Architecture) -> int:
    """i: of one row through all blocks."""
    return NUM_BLOCKS * (candidate.hidden * NUM_INPUTS + candidate.outputs * candidate.hidden)


def fitted(firsts: Sequence[Array], candidate: Architecture, train: Rows) -> list[Block]:
    """The best network of a candidate: it keeps the hidden values of T that serve it best, and fits its second layers.

    Outputs that it lacks are the last ones, which the task leaves at zero.
    """
    blocks = []
    for first, x, y in zip(firsts, train.x, train.y, strict=True):
        kept = combinations(range(len(first)), candidate.hidden)
        options = [_fitted_block(first[list(rows)], x, y[:, : candidate.outputs]) for rows in kept]
        misses = [_residual(block, x, y) for block in options]
        blocks.append(options[int(np.argmin(misses))])
    return blocks


def relative_error(blocks: Sequence[Block], rows: Rows) -> float:
    """Share of the answers' variance that a network misses; an output that it lacks answers zero."""
    missed = sum(_residual(block, x, y) for block, x, y in zip(blocks, rows.x, rows.y, strict=True))
    return float(missed / ((rows.y - rows.y.mean(axis=1, keepdims=True)) ** 2).sum())


def prune(blocks: Sequence[Block], good_enough: Callable[[Sequence[Block]], bool]) -> tuple[list[Block], int]:
    """Magnitude pruning: the smallest numbers go to zero, one by one, as long as the network stays good enough."""
    sizes = sorted(float(abs(v)) for block in blocks for matrix in (block.first, block.second) for v in matrix.ravel())
    best, num_zeros = list(blocks), 0
    for count, threshold in enumerate(sizes, start=1):
        tried = [Block(*(np.where(abs(m) <= threshold, 0.0, m) for m in (b.first, b.second))) for b in blocks]
        if not good_enough(tried):
            break
        best, num_zeros = tried, count
    return best, num_zeros


def draw(found: dict[str, Any], path: Path) -> None:
    """One column per network; every number is a cell, white where it is zero."""
    titles = {
        "T": f"T: {found['size_of_t']} numbers\nerror {found['error_of_t']:.3f}",
        "pruned": f"pruned: {found['size_of_t']} numbers, {found['num_zeros']} zero\nerror {found['pruned_error']:.3f}",
        "extracted": f"OSE: {found['size']} numbers\nerror {found['error']:.3f}",
    }
    figure = Figure(figsize=(10, 5), layout="constrained")
    for column, (name, title) in enumerate(titles.items()):
        axes = figure.add_subplot(1, len(titles), column + 1, title=title)
        axes.set(xlim=(-0.5, 10.5), ylim=(10, -1), aspect="equal")
        axes.set_axis_off()
        for number, block in enumerate(found["networks"][name]):
            _draw_matrix(axes, block.first, left=0, top=5.2 * number)
            _draw_matrix(axes, block.second, left=5, top=5.2 * number)
    figure.suptitle("Pruning zeroes numbers, extraction chooses smaller arrays (last column of each: biases)")
    figure.savefig(path, dpi=120)


def _draw_matrix(axes: Axes, matrix: Array, *, left: float, top: float) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        shade = 0.25 + 0.75 * min(1.0, abs(value)) if value else 0.0
        color = (0.13, 0.40, 0.67, shade) if value > 0 else (0.80, 0.30, 0.20, shade)
        axes.add_patch(Rectangle((left + column, top + row), 0.9, 0.9, facecolor=color, edgecolor="0.6"))


def _task(generator: np.random.Generator) -> tuple[Rows, Rows, list[Array]]:
    """Rows to fit and rows to judge by, and T's first layers. In each, one hidden value repeats another."""
    firsts, seconds = [], []
    for _ in range(NUM_BLOCKS):
        needed = np.linalg.qr(generator.standard_normal((3, 3)))[0]  # three directions that cannot stand in for another
        first = np.column_stack([needed, generator.uniform(-0.2, 0.2, 3)])
        firsts.append(np.vstack([first, 0.5 * first[generator.integers(3)]]))
        answers = generator.choice([-1.0, 1.0], (2, 3)) * generator.uniform(0.7, 1.3, (2, 3))
        seconds.append(np.vstack([answers, np.zeros((2, 3))]))
    return _rows(generator, firsts, seconds, 400), _rows(generator, firsts, seconds, 2000), firsts


def _rows(generator: np.random.Generator, firsts: list[Array], seconds: list[Array], count: int) -> Rows:
    x = generator.standard_normal((NUM_BLOCKS, count, NUM_INPUTS))
    clean = [_hidden(first[:3], rows) @ second.T for first, second, rows in zip(firsts, seconds, x, strict=True)]
    return Rows(x, np.array(clean) + NOISE * generator.standard_normal((NUM_BLOCKS, count, 4)))


def _fitted_block(first: Array, x: Array, y: Array) -> Block:
    known = _with_ones(_hidden(first, x))
    return Block(first, np.asarray(np.linalg.lstsq(known, y, rcond=None)[0].T, dtype=np.float64))


def _residual(block: Block, x: Array, y: Array) -> float:
    """Sum of squares of what the block misses."""
    answers = np.zeros_like(y)
    answers[:, : len(block.second)] = _with_ones(_hidden(block.first, x)) @ block.second.T
    return float(((y - answers) ** 2).sum())


def _hidden(first: Array, x: Array) -> Array:
    return np.asarray(np.maximum(_with_ones(x) @ first.T, 0.0))


def _with_ones(values: Array) -> Array:
    return np.column_stack([values, np.ones(len(values))])


if __name__ == "__main__":
    main()
