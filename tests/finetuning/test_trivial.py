"""What an answer that ignores the input scores, and what a teacher must score to be better."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.finetuning.trivial import required_score
from optimum_ose.tasks.parts import multi_label, regression, single_label
from optimum_ose.tasks.parts.token_labels import TagMetric

SHARES = st.floats(0, 1)


def test_two_standard_errors_above_chance_are_required() -> None:
    assert required_score(0.5, 100) == pytest.approx(0.6)
    assert required_score(0.2, 1600) == pytest.approx(0.22)


def test_of_few_rows_half_of_the_way_to_a_faultless_score_suffices() -> None:
    assert required_score(0.5, 4) == pytest.approx(0.75)
    assert required_score(0.9, 20) == pytest.approx(0.95)


@given(SHARES, st.integers(1, 10**6))
def test_it_is_above_the_trivial_score_and_can_be_reached(trivial: float, num_rows: int) -> None:
    needed = required_score(trivial, num_rows)
    assert trivial <= needed <= 1
    assert needed > trivial or trivial > 1 - 1e-9
    assert required_score(trivial, 4 * num_rows) <= needed


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_of_classes_it_is_the_share_of_the_most_frequent(labels: list[int]) -> None:
    best = max(labels.count(label) for label in labels) / len(labels)
    assert single_label.METRIC.trivial_score(labels) == pytest.approx(best)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
def test_of_sets_no_constant_set_scores_more(labels: list[list[bool]]) -> None:
    wanted = np.array(labels, dtype=np.float64)
    constants = [np.tile(np.array(one), (len(wanted), 1)) for one in product([False, True], repeat=3) if any(one)]
    best = max(multi_label.METRIC.judged(constant, wanted)["f1_micro"] for constant in constants)
    assert multi_label.METRIC.trivial_score(wanted) == pytest.approx(best)


def test_a_constant_number_explains_nothing() -> None:
    assert regression.METRIC.trivial_score(np.array([1.0, 5.0, 2.0])) == 0


def test_of_tags_it_is_the_most_frequent_one_which_finds_no_entity() -> None:
    references = [[2, 2, 0, 1], [2, -100, 2]]
    entities = TagMetric(label_names=("B-thing", "I-thing", "O"))
    words = TagMetric(label_names=("noun", "verb", "other"))
    assert (entities.name, entities.trivial_score(references)) == ("f1", 0)
    assert (words.name, words.trivial_score(references)) == ("accuracy", pytest.approx(4 / 6))
