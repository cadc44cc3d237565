"""What a student is shown to keep of its teacher's score on all rows, from answers to a sample of them."""

from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from numpy.typing import NDArray

from optimum_ose.optimizer.served import LEAST_GROUPS, proven_share
from optimum_ose.tasks.parts.benchmark_metrics import benchmark_metric
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.single_label import METRIC

F1 = replace(METRIC, name="f1_macro")
ALPHA = 0.05


def judged(is_right: NDArray[np.bool_]) -> ServedAnswers:
    return ServedAnswers(metric=METRIC, predictions=is_right.astype(int), references=np.ones(len(is_right), dtype=int))


def draw(generator: np.random.Generator, num_rows: int, keeps: float) -> tuple[ServedAnswers, ServedAnswers]:
    """A student that keeps a share of the teacher's 90%, and right only where the teacher is."""
    teacher = generator.random(num_rows) < 0.9
    return judged(teacher & (generator.random(num_rows) < keeps)), judged(teacher)


@pytest.mark.parametrize(("num_rows", "truth"), [(40, 0.95), (100, 0.98), (400, 0.95), (400, 0.995)])
def test_what_is_proven_is_false_as_rarely_as_it_says(num_rows: int, truth: float) -> None:
    generator, num_draws = np.random.default_rng(0), 200
    proven = [proven_share(*draw(generator, num_rows, truth), alpha=ALPHA) or 0.0 for _ in range(num_draws)]
    num_false = sum(share > truth for share in proven)
    assert num_false <= num_draws * ALPHA + 2 * np.sqrt(num_draws * ALPHA * (1 - ALPHA))
    assert np.median(proven) > truth - 4 / np.sqrt(num_rows)


def test_a_student_without_a_loss_in_the_sample_is_not_shown_to_lose_none() -> None:
    right = judged(np.ones(200, dtype=bool))
    for student, teacher in (draw(np.random.default_rng(0), 200, 1.0), (right, right)):
        assert 0.9 < (proven_share(student, teacher, alpha=ALPHA) or 0.0) < 1.0


def test_scores_that_are_no_means_say_nothing_where_few_rows_differ() -> None:
    student, teacher = draw(np.random.default_rng(0), 400, 0.99)
    student, teacher = (replace(one, metric=F1) for one in (student, teacher))
    assert student.rights is None
    assert proven_share(student, teacher, alpha=ALPHA) is None
    student, teacher = (replace(one, metric=F1) for one in draw(np.random.default_rng(0), 400, 0.7))
    assert 0.5 < (proven_share(student, teacher, alpha=ALPHA) or 0.0) < 0.85


def test_few_rows_and_a_teacher_without_score_say_nothing() -> None:
    student, teacher = draw(np.random.default_rng(0), LEAST_GROUPS - 1, 0.9)
    assert proven_share(student, teacher, alpha=ALPHA) is None
    student, _ = draw(np.random.default_rng(0), 100, 0.9)
    assert proven_share(student, judged(np.zeros(100, dtype=bool)), alpha=ALPHA) is None


def test_rows_of_one_question_are_left_out_together() -> None:
    rows = Dataset.from_dict({"group": [0, 1, 0, 2], "label": [1, 0, 0, 1], "credit": [1.0] * 4})
    metric = benchmark_metric("superglue/multirc", ("no", "yes"))
    answers = ServedAnswers(
        metric=metric, predictions=np.array([1, 0, 0, 0]), references=np.array([1, 0, 0, 1]), rows=rows
    )
    assert [group.tolist() for group in answers.groups] == [[0, 2], [1], [3]]
    assert answers.of(np.array([0, 2, 1])).scores()["exact_match"] == 1.0
    assert answers.scores()["exact_match"] < 1.0
