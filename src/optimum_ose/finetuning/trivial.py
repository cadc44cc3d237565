"""What an answer that ignores the input scores, and what a teacher must score to be better than that."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.finetuning.metrics import NO_TAG, TaskMetric

_STANDARD_ERRORS = 2.0
_NAMES = {
    "single-label": "always answering the most frequent class",
    "multi-label": "always answering the best constant set",
    "regression": "always answering one number",
    "token-labels": "always answering one tag",
}


def trivial_answer(metric: TaskMetric) -> str:
    """The trivial answer of a problem, in words."""
    return _NAMES.get(metric.problem, "a constant answer")


def trivial_score(metric: TaskMetric, references: Sequence[Any]) -> float:
    """What the best answer that is the same for every row scores on labeled rows, by the metric that decides.

    Args:
        metric: of the problem.
        references: the rows' labels: classes, vectors of zeros and ones, numbers, or the tags of each row.
    """
    if metric.problem == "regression":
        return 0.0
    if metric.problem == "token-labels":
        return _trivial_tags(metric, references)
    wanted = np.asarray(references)
    if metric.problem == "multi-label":
        return max(metric.judged(constant, wanted)[metric.name] for constant in _constant_sets(wanted))
    frequent = np.bincount(wanted[wanted >= 0]).argmax()
    return metric.judged(np.full(len(wanted), frequent), wanted)[metric.name]


def required_score(trivial: float, num_rows: int) -> float:
    """The score above which a teacher is better than the trivial answer by more than chance.

    Two standard errors of a share of n rows above it, or half of the way to a faultless score where that is less.
    """
    error = math.sqrt(max(trivial * (1 - trivial), 1 / max(num_rows, 1)) / max(num_rows, 1))
    return trivial + min(_STANDARD_ERRORS * error, (1 - trivial) / 2)


def _constant_sets(wanted: NDArray[Any]) -> list[NDArray[np.bool_]]:
    """The k most frequent classes for every k: the best constant set is one of them."""
    order = np.argsort(-np.nansum(wanted, axis=0), kind="stable")
    sets = []
    for count in range(1, len(order) + 1):
        constant = np.zeros(wanted.shape, dtype=bool)
        constant[:, order[:count]] = True
        sets.append(constant)
    return sets


def _trivial_tags(metric: TaskMetric, references: Sequence[Any]) -> float:
    tags = np.concatenate([np.asarray(row, dtype=np.int64) for row in references])
    frequent = int(np.bincount(tags[tags >= 0]).argmax()) if (tags >= 0).any() else NO_TAG
    answers = [np.full(len(row), frequent) for row in references]
    return metric.tag_scores(answers, references)[metric.name]
