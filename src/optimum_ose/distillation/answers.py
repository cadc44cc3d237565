"""What counts as an answer in each kind of problem, and how a student's is compared with teacher and label."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional as F

from optimum_ose.distillation.losses import (
    binary_cross_entropy_to_teacher,
    binary_divergence,
    cross_entropy_to_teacher,
    logits_divergence,
    rare_class_counts,
    relative_squared_error,
    similarity_mismatch,
)
from optimum_ose.modeling.prediction import pooled
from optimum_ose.modeling.tasks import Problem

NO_CLASS = -100
"""Transformers' mark for what has no label; of numbers it is NaN."""
NOT_KEPT: tuple[Problem, ...] = ("masked-tokens", "next-tokens")
"""Problems whose teacher answers anew in each step: an answer is as long as the vocabulary."""


def answers_of(problem: Problem, output: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The part of a model's output that is imitated, shape (answers, size).

    Of a token classifier and of a causal language model that is every real token, of a masked one every masked token,
    of a model without a head the mean of the last hidden state over real tokens.
    """
    if problem == "representation":
        return pooled(output.last_hidden_state, batch["attention_mask"])
    answers: torch.Tensor = output.logits
    return answers if answers.ndim == 2 else answers[counted(problem, batch)]


def counted(problem: Problem, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Which tokens of a batch answer, shape (rows, tokens)."""
    return batch["labels"] != NO_CLASS if problem == "masked-tokens" else batch["attention_mask"].bool()


def answer_mismatch(
    problem: Problem,
    student: torch.Tensor,
    teacher: torch.Tensor,
    *,
    temperature: float,
    rare_class_weight: float = 0.0,
) -> torch.Tensor:
    """The loss of a student's answers against its teacher's, both of shape (answers, size).

    The divergence of softened distributions; of numbers the squared difference; of vectors that of their similarities,
    for widths differ. Vocabularies of another length are compared in their common part. Tokens that are to be tagged
    count more where the teacher believes in a rare class: see `losses.rare_class_counts`.
    """
    if problem == "representation":
        return similarity_mismatch(student, teacher)
    if problem == "regression":
        return F.mse_loss(student, teacher)
    if problem == "multi-label":
        return binary_divergence(student, teacher, temperature=temperature)
    if not len(student):  # no token of the batch is masked
        return student.sum()
    common = min(student.shape[-1], teacher.shape[-1])
    is_weighted = problem == "token-labels" and rare_class_weight > 0
    counts = rare_class_counts(teacher, weight=rare_class_weight) if is_weighted else None
    return logits_divergence(student[:, :common], teacher[:, :common], temperature=temperature, counts=counts)


def label_mismatch(problem: Problem, output: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The loss of a student's output against the labels, over what has one; zero where nothing has."""
    logits, labels = output.logits, batch["labels"]
    if problem == "next-tokens":
        logits, labels = logits[:, :-1], labels[:, 1:]
    if problem in ("regression", "multi-label"):
        labels = labels.reshape(logits.shape)
        found, wanted = logits[~labels.isnan()], labels[~labels.isnan()]
        if not len(wanted):
            return logits.sum() * 0.0  # type: ignore[no-any-return]
        wanted = wanted.to(found.dtype)
        return (
            F.mse_loss(found, wanted) if problem == "regression" else F.binary_cross_entropy_with_logits(found, wanted)
        )
    kept = labels != NO_CLASS
    return F.cross_entropy(logits[kept], labels[kept]) if kept.any() else logits.sum() * 0.0


def answer_error(problem: Problem, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """The error of a candidate: how far its answers are from its teacher's, both of shape (answers, size).

    Cross-entropy to the teacher; of numbers the relative squared error; of several classes binary cross-entropy; of
    vectors the mismatch of similarities.
    """
    if problem == "representation":
        return similarity_mismatch(student, teacher)
    if problem == "regression":
        return relative_squared_error(student, teacher)
    if problem == "multi-label":
        return binary_cross_entropy_to_teacher(student, teacher)
    return cross_entropy_to_teacher(student, teacher)
