"""One class for each row: cross-entropy, accuracy."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from optimum_ose.tasks.parts.losses import class_label_loss, cross_entropy_to_teacher, divergences, logits_divergence
from optimum_ose.tasks.parts.metrics import RowMetric, class_scores
from optimum_ose.tasks.parts.problem import Problem


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    return logits_divergence(student, teacher, temperature=temperature)


def _most_frequent(wanted: NDArray[Any]) -> Iterable[NDArray[np.int64]]:
    return (np.full(len(wanted), np.bincount(wanted[wanted >= 0]).argmax()),)


def _served(answers: Sequence[Any], label_names: Sequence[str]) -> NDArray[np.int64]:
    index = {name: number for number, name in enumerate(label_names)}
    return np.asarray([index[answer[0]["label"]] for answer in answers])


METRIC = RowMetric(
    name="accuracy",
    score_names=("accuracy", "f1_macro"),
    trivial_answer="always answering the most frequent class",
    decided=lambda logits: np.asarray(logits.argmax(-1)),
    judge=class_scores,
    constants=_most_frequent,
)
"""Of classes."""
SINGLE_LABEL = Problem(
    name="single-label",
    mismatch=_mismatch,
    error=cross_entropy_to_teacher,
    excess=divergences,
    label_loss=class_label_loss,
    metric=lambda label_names: METRIC,
    served=_served,
    labels_are_classes=True,
)
"""A class for each row."""
