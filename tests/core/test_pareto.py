import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optimum_ose.core.pareto import non_dominated

POINTS = st.integers(0, 12).flatmap(lambda n: arrays(np.float64, (n, 3), elements=st.integers(0, 4).map(float)))


@given(POINTS)
def test_the_front_is_what_the_definition_says(points):
    def dominated(k):
        return any((other <= points[k]).all() and (other < points[k]).any() for other in points)

    assert sorted(non_dominated(points).tolist()) == [k for k in range(len(points)) if not dominated(k)]


def test_failed_trainings_are_left_out_and_the_front_ascends():
    points = np.array([[3.0, 1.0, 1.0], [1.0, 1.0, np.nan], [2.0, 2.0, 2.0], [1.0, 3.0, np.inf], [1.0, 9.0, 9.0]])
    assert non_dominated(points).tolist() == [4, 2, 0]
