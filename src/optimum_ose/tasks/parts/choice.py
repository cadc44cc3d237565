"""One of several choices for each row: cross-entropy over the choices, accuracy by question."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.tasks.parts.comparing import any_sizes
from optimum_ose.tasks.parts.metrics import RowMetric
from optimum_ose.tasks.parts.single_label import SINGLE_LABEL


def _accuracy(predictions: Any, references: Any) -> dict[str, float]:
    return {"accuracy": float((predictions == references).mean())}


def _same_place(wanted: NDArray[Any]) -> Iterable[NDArray[np.int64]]:
    return (np.full(len(wanted), np.bincount(wanted[wanted >= 0]).argmax()),)


def _served(answers: Sequence[Any], label_names: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray([answer["index"] for answer in answers])


METRIC = RowMetric(
    name="accuracy",
    score_names=("accuracy",),
    trivial_answer="always choosing the same place",
    decided=lambda logits: np.asarray(logits.argmax(-1)),
    judge=_accuracy,
    constants=_same_place,
)
"""Of questions."""
CHOICE = replace(
    SINGLE_LABEL,
    name="choice",
    metric=lambda label_names: METRIC,
    served=_served,
    require_comparable=any_sizes,
    labels_are_classes=False,
    has_classes=False,
)
"""A choice for each question; every choice has one output of the same head."""
