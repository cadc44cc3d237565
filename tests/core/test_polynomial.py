import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.core.polynomial import Polynomial
from optimum_ose.exceptions import InvalidArchitectureError

X, Y = Polynomial.variable("x"), Polynomial.variable("y")
POLYNOMIALS = st.lists(
    st.tuples(st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 3)), max_size=3), st.integers(-9, 9)), max_size=5
).map(Polynomial.of)
POINTS = st.tuples(st.integers(0, 7), st.integers(0, 7))


def value(polynomial, point):
    columns = {"x": np.array([point[0]], dtype=np.int64), "y": np.array([point[1]], dtype=np.int64)}
    return int(polynomial.evaluate(columns)[0])


@given(POLYNOMIALS, POLYNOMIALS, POINTS)
def test_arithmetic_on_polynomials_is_arithmetic_on_their_values(left, right, point):
    assert value(left + right, point) == value(left, point) + value(right, point)
    assert value(left - right, point) == value(left, point) - value(right, point)
    assert value(left * right, point) == value(left, point) * value(right, point)
    assert value(left**2, point) == value(left, point) ** 2
    assert value(3 - 2 * left + 1, point) == 4 - 2 * value(left, point)


@given(POLYNOMIALS, POLYNOMIALS)
def test_equal_polynomials_have_one_form(left, right):
    assert left + right == right + left
    assert left * right == right * left
    assert left - left == Polynomial()


def test_degree_counts_only_the_chosen_variables():
    polynomial = X**2 * Y + 7 * Y**2
    assert polynomial.degree() == 3
    assert polynomial.degree({"x"}) == 2
    assert polynomial.degree({"y"}) == 2
    assert Polynomial().degree() == -1
    assert polynomial.variables == ("x", "y")


def test_values_near_the_limit_of_64_bits_are_exact():
    polynomial = X**3 * 8 - 1
    assert value(polynomial, (2**20 - 1, 1)) == 8 * (2**20 - 1) ** 3 - 1


def test_values_beyond_64_bits_are_refused_instead_of_wrapped():
    with pytest.raises(InvalidArchitectureError, match="exact 64-bit integers"):
        value(X**4, (2**16, 1))


def test_a_missing_variable_is_named():
    with pytest.raises(InvalidArchitectureError, match="function of x, y; y is missing"):
        (X * Y).evaluate({"x": np.array([1])})


def test_a_polynomial_reads_as_a_formula():
    assert str(4 * X**2 + X * Y + 3) == "3 + x y + 4 x^2"
    assert str(Polynomial()) == "0"
