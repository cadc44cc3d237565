"""What a student is shown to keep of its teacher's score on all rows, from answers to a sample of them."""

import numpy as np
import pytest
from datasets import Dataset
from numpy.typing import NDArray

from optimum_ose.core import keep
from optimum_ose.optimizer.served import LEAST_GROUPS, proven_share
from optimum_ose.tasks.parts.benchmark_metrics import benchmark_metric
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.single_label import METRIC

ALPHA = 0.05


def judged(is_right: NDArray[np.bool_]) -> ServedAnswers:
    return ServedAnswers(metric=METRIC, predictions=is_right.astype(int), references=np.ones(len(is_right), dtype=int))


def draw(generator: np.random.Generator, num_rows: int, keeps: float) -> tuple[ServedAnswers, ServedAnswers]:
    """A student that keeps a share of the teacher's 90%, and right only where the teacher is."""
    teacher = generator.random(num_rows) < 0.9
    return judged(teacher & (generator.random(num_rows) < keeps)), judged(teacher)


def test_groups_of_rows_prove_what_single_rows_do() -> None:
    student, teacher = draw(np.random.default_rng(0), 400, 0.95)
    rights = np.stack([teacher.predictions, student.predictions]).astype(np.float64)
    single = keep.proven_share(keep.ScoreParts(teacher=rights[0], candidates=rights[1:2], range=None), 0, alpha=ALPHA)
    assert proven_share(student, teacher, alpha=ALPHA) == pytest.approx(single, abs=0.005)
    assert 0.9 < single < 0.95


def test_the_teacher_itself_keeps_all() -> None:
    _, teacher = draw(np.random.default_rng(0), 200, 1.0)
    assert proven_share(teacher, teacher, alpha=ALPHA) == pytest.approx(1.0, abs=1e-6)


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
