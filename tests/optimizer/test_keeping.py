import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.optimizer.keeping import Tried, first_least_share, next_least_share

SHARES = st.floats(0.01, 1.05)


def test_candidates_may_lack_more_than_the_student_for_they_gain():
    assert first_least_share(0.97, "elastic") == pytest.approx(0.94)
    assert first_least_share(0.97, "inherited") == pytest.approx(1 - 0.03 / 0.35)
    assert first_least_share(1.0, "inherited") == 1.0


def test_the_next_share_follows_from_what_was_gained():
    assert next_least_share(0.97, [Tried(measured=0.9, finished=0.95)]) == pytest.approx(0.94)
    assert next_least_share(0.97, [Tried(measured=0.95, finished=0.99)]) == pytest.approx(0.85)


@given(st.lists(st.builds(Tried, measured=SHARES, finished=SHARES), min_size=1, max_size=3), st.floats(0.5, 1))
def test_the_next_candidate_has_more_than_any_that_missed(tried: list[Tried], keep: float) -> None:
    wanted = next_least_share(keep, tried)
    assert all(wanted > one.measured for one in tried if one.finished < keep)
