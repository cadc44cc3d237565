import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.core.objectives import Objectives, relative_savings, w_coefficient
from optimum_ose.exceptions import InvalidArchitectureError, InvalidDataError

T = Objectives(100.0, 10.0, 0.1)
SHARES, ERRORS = st.floats(0.01, 0.99), st.floats(1e-3, 10)
SCALES = st.sampled_from([1e-6, 1 / 8, 3.0, 1e9])


def test_w_is_the_product_of_both_savings_over_the_error():
    assert w_coefficient(Objectives(25.0, 5.0, 0.5), T) == pytest.approx(0.75 * 0.5 / 0.5)


def test_w_of_the_maximum_point_is_zero():
    assert w_coefficient(T, T) == 0


@given(SHARES, SHARES, ERRORS, SHARES, SHARES, ERRORS, SCALES, SCALES)
def test_units_of_size_and_cost_change_no_winner(p, i, e, other_p, other_i, other_e, size_unit, cost_unit):
    def w(share_p, share_i, error, size=1.0, cost=1.0):
        largest = Objectives(100 * size, 10 * cost, 1)
        return w_coefficient(Objectives(share_p * 100 * size, share_i * 10 * cost, error), largest)

    assert w(p, i, e, size_unit, cost_unit) == pytest.approx(w(p, i, e), rel=1e-9)
    gap = w(p, i, e) - w(other_p, other_i, other_e)
    scaled = w(p, i, e, size_unit, cost_unit) - w(other_p, other_i, other_e, size_unit, cost_unit)
    assert math.copysign(1, gap) == math.copysign(1, scaled) or abs(gap) < 1e-6 * w(p, i, e)


@given(SHARES, SHARES, ERRORS, st.floats(0.5, 0.999))
def test_smaller_cheaper_or_more_accurate_is_always_better(p, i, e, factor):
    base = w_coefficient(Objectives(p * 100, i * 10, e), T)
    assert w_coefficient(Objectives(p * 100 * factor, i * 10, e), T) > base
    assert w_coefficient(Objectives(p * 100, i * 10 * factor, e), T) > base
    assert w_coefficient(Objectives(p * 100, i * 10, e * factor), T) > base


def test_a_faultless_candidate_stays_finite():
    assert w_coefficient(Objectives(50.0, 5.0, 0.0), T) == pytest.approx(0.25 / 1e-7)
    assert w_coefficient(Objectives(50.0, 5.0, 0.0), T, error_floor=0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("error", [math.nan, math.inf])
def test_a_failed_training_has_w_zero(error):
    assert w_coefficient(Objectives(50.0, 5.0, error), T) == 0


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (Objectives(101.0, 5.0, 1.0), "parameter_size, 100; 101"),
        (Objectives(50.0, 11.0, 1.0), "inference_cost, 10; 11"),
    ],
)
def test_a_candidate_larger_or_slower_than_the_maximum_point_is_refused(candidate, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        w_coefficient(candidate, T)


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf])
def test_a_size_that_is_not_positive_and_finite_is_refused(size):
    with pytest.raises(InvalidArchitectureError, match="parameter_size is a finite number greater than zero"):
        w_coefficient(Objectives(size, 5.0, 1.0), T)


def test_a_negative_error_is_refused():
    with pytest.raises(InvalidDataError, match=r"zero or greater, and lower is better; -0.5 came"):
        w_coefficient(Objectives(50.0, 5.0, -0.5), T)


@given(st.lists(st.tuples(SHARES, SHARES, ERRORS), min_size=1, max_size=9))
def test_the_vectorized_twin_agrees_with_the_scalar(points):
    p, i, e = np.array(points).T
    savings = relative_savings(100 * p, 10 * i, maximum_point=(100, 10))
    assert savings / e == pytest.approx([w_coefficient(Objectives(100 * a, 10 * b, c), T) for a, b, c in points])
