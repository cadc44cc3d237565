import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.constraints import Divides
from optimum_ose.core.costs import CostModel
from optimum_ose.core.polynomial import Polynomial
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InfeasibleError, InvalidArchitectureError, InvalidConfigError

VALUES = st.lists(st.integers(1, 12), min_size=1, max_size=5)
HEADS_DIVIDE = Divides(divisor="heads", dividend="hidden")
D, H, LENGTH = (Polynomial.variable(name) for name in ("depth", "hidden", "sequence_length"))
COSTS = CostModel(embedding_parameters=100 * H, other_parameters=D * H**2, multiply_adds=D * LENGTH * H**2)


def small_space(**axes):
    axes = {"depth": (1, 2), "hidden": (4, 6), "heads": (2, 3)} | axes
    return SearchSpace(
        axes,
        maximum_point=Architecture(depth=12, hidden=64, heads=12),
        constraints=[HEADS_DIVIDE],
        cost_model=COSTS,
    )


@given(VALUES, VALUES, VALUES)
def test_a_space_holds_exactly_the_valid_combinations_in_order(depth, hidden, heads):
    valid = sorted(
        {Architecture(depth=d, hidden=h, heads=a) for d, h, a in itertools.product(depth, hidden, heads) if h % a == 0}
    )
    if valid:
        space = small_space(depth=depth, hidden=hidden, heads=heads)
        assert list(space) == valid
        assert len(space) == len(valid)
        assert all(architecture in space for architecture in valid)


def test_membership_needs_the_same_axes_and_every_constraint():
    space = small_space()
    assert Architecture(depth=1, hidden=6, heads=3) in space
    assert Architecture(depth=1, hidden=4, heads=3) not in space
    assert Architecture(depth=1, hidden=4) not in space
    assert "hidden" not in space


def test_axes_are_sorted_and_cannot_be_written():
    space = small_space(depth=[2, 1, 2])
    assert dict(space.axes) == {"depth": (1, 2), "heads": (2, 3), "hidden": (4, 6)}
    with pytest.raises(TypeError):
        space.axes["depth"] = (9,)


def test_costs_are_exact_and_count_embeddings_on_demand():
    space = small_space()
    architectures = [Architecture(depth=2, hidden=6, heads=3), Architecture(depth=1, hidden=4, heads=2)]
    assert space.parameter_size(architectures).tolist() == [672, 416]
    assert space.parameter_size(architectures, count_embeddings=False).tolist() == [72, 16]
    assert space.multiply_adds(architectures, sequence_length=10).tolist() == [720, 160]
    assert space.parameter_size(space.candidates).tolist() == space.parameter_size(list(space)).tolist()
    assert space.parameter_size([]).tolist() == []


def test_a_table_is_a_space_without_repetitions_whose_largest_entry_is_the_maximum_point():
    entries = [Architecture(a=2, b=2), Architecture(a=1, b=2), Architecture(a=1, b=2)]
    space = SearchSpace.of(entries)
    assert list(space) == [Architecture(a=1, b=2), Architecture(a=2, b=2)]
    assert space.maximum_point == Architecture(a=2, b=2)
    assert Architecture(a=2, b=1) not in space


def test_a_table_without_a_largest_entry_needs_a_maximum_point():
    entries = [Architecture(a=2, b=1), Architecture(a=1, b=2)]
    with pytest.raises(InvalidArchitectureError, match="one candidate must be the largest in every axis"):
        SearchSpace.of(entries)
    assert len(SearchSpace.of(entries, maximum_point=Architecture(a=2, b=2))) == 2


def test_a_table_over_different_axes_is_refused():
    with pytest.raises(InvalidArchitectureError, match="all over the same axes; 2 came, over 2 sets of axes"):
        SearchSpace.of([Architecture(a=2), Architecture(b=1)])


def test_a_candidate_beyond_the_maximum_point_is_refused():
    with pytest.raises(InvalidArchitectureError, match=r"exceeds the maximum point in any axis; depth=13 > 12"):
        small_space(depth=[1, 13])
    with pytest.raises(InvalidArchitectureError, match="a=3 > 2"):
        SearchSpace.of([Architecture(a=3)], maximum_point=Architecture(a=2))


def test_the_maximum_point_has_the_axes_of_the_space():
    with pytest.raises(InvalidArchitectureError, match="same axes as the search space"):
        SearchSpace({"a": [1]}, maximum_point=Architecture(b=1))


def test_an_axis_without_values_is_refused():
    with pytest.raises(InvalidArchitectureError, match="at least one value; depth has none"):
        small_space(depth=[])


def test_an_empty_space_names_its_tightest_constraint():
    with pytest.raises(InfeasibleError, match="none of 2 does; the tightest, 'heads divides hidden', holds for 0"):
        small_space(hidden=[5], heads=[3])


def test_a_grid_that_cannot_be_enumerated_is_refused():
    axes = {name: range(1, 101) for name in "abcde"}
    with pytest.raises(InvalidConfigError, match="10,000,000,000 combinations came"):
        SearchSpace(axes, maximum_point=Architecture(dict.fromkeys("abcde", 100)))


def test_costs_without_a_cost_model_are_refused():
    with pytest.raises(InvalidArchitectureError, match="computed from a cost model; this search space has none"):
        SearchSpace.of([Architecture(a=1)]).parameter_size([Architecture(a=1)])


def test_costs_of_an_architecture_over_other_axes_are_refused():
    with pytest.raises(InvalidArchitectureError, match="have the axes depth, heads, hidden; one with a came"):
        small_space().parameter_size([Architecture(a=1)])


def test_a_million_candidates_are_scored_without_a_million_objects():
    axes = {"depth": range(1, 101), "hidden": range(1, 101), "heads": range(1, 101)}
    begin = time.perf_counter()
    space = SearchSpace(axes, maximum_point=Architecture(depth=100, hidden=100, heads=100), cost_model=COSTS)
    p, i = space.parameter_size(space.candidates), space.multiply_adds(space.candidates)
    assert time.perf_counter() - begin < 5
    assert len(space) == len(p) == len(i) == 10**6
    assert p[-1] == 100 * 100**2 + 100 * 100
    assert space.candidates[-1] == Architecture(depth=100, hidden=100, heads=100)
    assert np.array_equal(space.candidates[5:7].columns["hidden"], [6, 7])
