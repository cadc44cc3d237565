"""A set of classes for each row: binary cross-entropy, micro-F1."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from optimum_ose.tasks.parts.losses import (
    binary_cross_entropy_to_teacher,
    binary_divergence,
    binary_divergences,
    labeled_values,
)
from optimum_ose.tasks.parts.metrics import RowMetric, set_scores
from optimum_ose.tasks.parts.problem import Batch, Problem

THRESHOLD = 0.5
"""Above this probability a class belongs to the set."""


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    return binary_divergence(student, teacher, temperature=temperature)


def _label_loss(output: Any, batch: Batch) -> torch.Tensor:
    found, wanted = labeled_values(output.logits, batch["labels"])
    return F.binary_cross_entropy_with_logits(found, wanted) if len(wanted) else output.logits.sum() * 0.0


def _most_frequent_sets(wanted: NDArray[Any]) -> Iterable[NDArray[np.bool_]]:
    """The k most frequent classes for every k: the best constant set is one of them."""
    order = np.argsort(-np.nansum(wanted, axis=0), kind="stable")
    for count in range(1, len(order) + 1):
        constant = np.zeros(wanted.shape, dtype=bool)
        constant[:, order[:count]] = True
        yield constant


def _served(answers: Sequence[Any], label_names: Sequence[str]) -> NDArray[np.bool_]:
    index = {name: number for number, name in enumerate(label_names)}
    sets = np.zeros((len(answers), len(label_names)), dtype=bool)
    for row, answer in zip(sets, answers, strict=True):
        row[[index[item["label"]] for item in answer if item["score"] > THRESHOLD]] = True
    return sets


METRIC = RowMetric(
    name="f1_micro",
    score_names=("accuracy", "f1_micro", "f1_macro"),
    trivial_answer="always answering the best constant set",
    decided=lambda logits: np.asarray(logits > 0),
    judge=set_scores,
    constants=_most_frequent_sets,
)
"""Of sets of classes."""
MULTI_LABEL = Problem(
    name="multi-label",
    mismatch=_mismatch,
    error=binary_cross_entropy_to_teacher,
    excess=binary_divergences,
    label_loss=_label_loss,
    metric=lambda label_names: METRIC,
    served=_served,
    classes_are_rare=True,
)
"""A set of classes for each row."""
