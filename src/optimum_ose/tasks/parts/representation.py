"""A vector for each text: its hidden states averaged over its tokens."""

from typing import Any

import torch

from optimum_ose.tasks.parts.comparing import any_sizes
from optimum_ose.tasks.parts.losses import similarity_mismatch
from optimum_ose.tasks.parts.problem import Batch, Problem


def pooled(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hidden states averaged over the tokens that are not padding, shape (rows, width)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def _answers(output: Any, batch: Batch) -> torch.Tensor:
    return pooled(output.last_hidden_state, batch["attention_mask"])


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    return similarity_mismatch(student, teacher)


REPRESENTATION = Problem(
    name="representation",
    mismatch=_mismatch,
    error=similarity_mismatch,
    answers=_answers,
    require_comparable=any_sizes,
    has_classes=False,
)
"""A vector for each text."""
