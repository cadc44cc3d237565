"""A number for each row: squared error, Spearman's correlation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from optimum_ose.tasks.parts.losses import labeled_values, relative_squared_error, relative_squared_errors
from optimum_ose.tasks.parts.metrics import RowMetric, correlations
from optimum_ose.tasks.parts.problem import Batch, Problem


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    return F.mse_loss(student, teacher)


def _label_loss(output: Any, batch: Batch) -> torch.Tensor:
    found, wanted = labeled_values(output.logits, batch["labels"])
    return F.mse_loss(found, wanted) if len(wanted) else output.logits.sum() * 0.0


def _served(answers: Sequence[Any], label_names: Sequence[str]) -> NDArray[np.float64]:
    return np.asarray([answer[0]["score"] for answer in answers])


METRIC = RowMetric(
    name="spearman",
    score_names=("spearman", "pearson"),
    trivial_answer="always answering one number",
    decided=lambda logits: logits.reshape(-1),
    judge=correlations,
    constants=lambda wanted: (np.zeros(wanted.shape),),
)
"""Of numbers."""
REGRESSION = Problem(
    name="regression",
    mismatch=_mismatch,
    error=relative_squared_error,
    excess=relative_squared_errors,
    label_loss=_label_loss,
    metric=lambda label_names: METRIC,
    served=_served,
)
"""A number for each row."""
