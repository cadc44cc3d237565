"""Losses and errors of answers, as functions of tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional as F

from optimum_ose.data.targets import NO_CLASS

_LEAST_SPREAD = 1e-6


def logits_divergence(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, counts: torch.Tensor | None = None
) -> torch.Tensor:
    """T^2 KL(teacher, student) of the softened distributions, mean over rows.

    Args:
        student: logits, shape (rows, classes).
        teacher: logits, shape (rows, classes).
        temperature: T > 0; the factor T^2 keeps the gradient's size.
        counts: how often each row counts in the mean, shape (rows,); None: once.

    Source: Hinton et al., arXiv:1503.02531; the released Bort code applies softmax twice to the student, which is
        not repeated here.
    """
    target = F.log_softmax(teacher / temperature, dim=-1)
    found = F.log_softmax(student / temperature, dim=-1)
    if counts is None:
        return F.kl_div(found, target, reduction="batchmean", log_target=True) * temperature**2
    terms = F.kl_div(found, target, reduction="none", log_target=True).sum(-1)
    return (counts * terms).sum() / counts.sum() * temperature**2


def rare_class_counts(teacher: torch.Tensor, *, weight: float) -> torch.Tensor:
    """1 + weight times the probability that the teacher gives to other classes than the commonest, shape (rows,).

    The commonest class is the one of the largest mean probability.

    Args:
        teacher: logits, shape (rows, classes).
        weight: >= 0.

    Source: ours; in the manner of weights for imbalanced classes, with the teacher's belief in place of labels.
    """
    beliefs = F.softmax(teacher, dim=-1)
    return 1 + weight * (1 - beliefs[:, beliefs.mean(dim=0).argmax()])


def cross_entropy_to_teacher(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the student to the teacher's output distribution, mean over rows, in nats.

    Args:
        student: logits, shape (rows, classes).
        teacher: logits, shape (rows, classes).

    Source: de Wynter & Perry, arXiv:2010.10499 (the error of a candidate).
    """
    return -(F.softmax(teacher, dim=-1) * F.log_softmax(student, dim=-1)).sum(-1).mean()


def divergences(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of each answer, in nats, shape (answers,): the cross-entropy less the teacher's own entropy.

    Args:
        student: logits, shape (answers, classes).
        teacher: logits, shape (answers, classes).
    """
    target, found = F.log_softmax(teacher, dim=-1), F.log_softmax(student, dim=-1)
    return (target.exp() * (target - found)).sum(-1).clamp_min(0)


def binary_divergences(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of the yes or no to each class, mean over classes, in nats, shape (rows,).

    Args:
        student: logits, shape (rows, classes).
        teacher: logits, shape (rows, classes).
    """
    terms = _binary_cross_entropy(student, teacher) - _binary_cross_entropy(teacher, teacher)
    return terms.mean(-1).clamp_min(0)


def relative_squared_errors(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared difference of each row's answer to the teacher's over the variance of the teacher's answers, shape
    (rows,); its mean over the rows is `relative_squared_error`.

    Args:
        student: shape (rows, outputs).
        teacher: shape (rows, outputs).
    """
    spread = (teacher - teacher.mean(dim=0)).square().sum().clamp_min(_LEAST_SPREAD) / len(teacher)
    return (student - teacher).square().sum(-1) / spread


def binary_divergence(student: torch.Tensor, teacher: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """T^2 KL(teacher, student) of the softened yes or no to each class, summed over classes, mean over rows.

    Args:
        student: logits, shape (rows, classes).
        teacher: logits, shape (rows, classes).
        temperature: T > 0.
    """
    target, found = teacher / temperature, student / temperature
    terms = _binary_cross_entropy(found, target) - _binary_cross_entropy(target, target)
    return terms.sum(-1).mean() * temperature**2


def binary_cross_entropy_to_teacher(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the student's yes or no to each class to the teacher's, mean over rows and classes, in nats.

    Args:
        student: logits, shape (rows, classes).
        teacher: logits, shape (rows, classes).
    """
    return _binary_cross_entropy(student, teacher).mean()


def _binary_cross_entropy(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="none")


def relative_squared_error(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared difference to the teacher's answers over their own squared distance from their mean; 1 for a student that
    always answers that mean.

    Args:
        student: shape (rows, outputs).
        teacher: shape (rows, outputs).
    """
    spread = (teacher - teacher.mean(dim=0)).square().sum().clamp_min(_LEAST_SPREAD)
    return (student - teacher).square().sum() / spread


def similarity_mismatch(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the cosine similarities of every two rows; the widths may differ.

    Args:
        student: vectors, shape (rows, student width).
        teacher: vectors, shape (rows, teacher width).

    Source: the relations of Park et al., arXiv:1904.05068, with cosines as the relation.
    """
    found, target = (F.normalize(value, dim=-1) for value in (student, teacher))
    return F.mse_loss(found @ found.T, target @ target.T)


def class_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to class indices, mean over what has a label; zero, with a gradient of zero, where nothing has.

    Args:
        logits: shape (..., classes).
        labels: shape (...); -100 where there is none.
    """
    kept = labels != NO_CLASS
    return F.cross_entropy(logits[kept], labels[kept]) if kept.any() else logits.sum() * 0.0


def class_label_loss(output: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """`class_loss` of a model's logits to the labels of its batch."""
    return class_loss(output.logits, batch["labels"])


def labeled_values(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The values of logits and labels where there is a label, both of shape (values,).

    Args:
        logits: any shape.
        labels: as many values; NaN where there is none.
    """
    labels = labels.reshape(logits.shape)
    return logits[~labels.isnan()], labels[~labels.isnan()].to(logits.dtype)
