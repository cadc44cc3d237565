import numpy as np
import pytest

from optimum_ose.core.candidates import Candidates
from optimum_ose.core.design import spread, starting_design, stride
from optimum_ose.core.features import axis_features
from optimum_ose.core.question import Question

VALUES = np.stack([column.ravel() for column in np.meshgrid([1, 2, 4, 8], [1, 2, 4, 8], [3, 6], indexing="ij")], axis=1)
FEATURES = np.log(VALUES / VALUES.min(axis=0)) / np.log(VALUES.max(axis=0) / VALUES.min(axis=0))


def question(number=32, size=None):
    return Question(
        candidates=Candidates("abc", VALUES[:number]),
        parameter_size=np.prod(VALUES, axis=1)[:number].astype(float) if size is None else np.array(size),
        inference_cost=np.ones(number),
        savings=np.ones(number),
        maximum_point=(1e3, 1e3),
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_start_holds_both_ends_and_spreads_over_every_axis(seed):
    start = starting_design(question(), FEATURES, np.random.default_rng(seed))
    assert len(set(start.tolist())) == len(start) == 7
    assert start[:2].tolist() == [len(VALUES) - 1, 0]
    assert all(len(np.unique(VALUES[start, axis])) >= min(3, len(np.unique(VALUES[:, axis]))) for axis in range(3))


def test_seeds_give_different_starts_and_the_same_seed_the_same():
    starts = {tuple(starting_design(question(), FEATURES, np.random.default_rng(seed))) for seed in (0, 0, 1, 2, 3)}
    assert 1 < len(starts) <= 4


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_start_of_a_tiny_space_is_the_space(number):
    start = starting_design(question(number), FEATURES[:number], np.random.default_rng(0))
    assert sorted(start.tolist()) == list(range(number))


def test_the_stride_breaks_ties_of_size_by_position():
    assert stride(question(5, [2.0, 1.0, 2.0, 1.0, 3.0]), 1).tolist() == [1, 3, 0, 2, 4]
    assert stride(question(5, [2.0, 1.0, 2.0, 1.0, 3.0]), 3).tolist() == [1, 2, 4]


def test_a_spread_over_axes_that_vary_together_holds_the_largest_and_the_smallest():
    depth, heads, inner = (column.ravel() for column in np.meshgrid([1, 2, 4, 8], [1, 2, 3, 4], [64, 96, 512]))
    columns = {"depth": depth, "heads": heads, "hidden": 64 * heads, "inner": inner, "fixed": np.full(48, 7)}
    coordinates = axis_features(columns)
    assert coordinates.shape == (48, 3)
    chosen = spread(coordinates, 12, np.random.default_rng(0))
    ends = [[int(columns[axis][index]) for axis in ("depth", "heads", "inner")] for index in chosen[:2]]
    assert ends == [[8, 4, 512], [1, 1, 64]]
    assert len(set(chosen.tolist())) == 12
    assert all(len(np.unique(columns[axis][chosen])) >= 3 for axis in ("depth", "heads", "inner"))
