"""The terms of the distillation loss, and the module that computes them for a student."""

import math
from collections.abc import Mapping
from typing import final

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from optimum_ose.configuration import DistillationConfig

_LEAST_PROBABILITY = 1e-12
_EXCLUDED = -1e9
"""Score of a token that is padding, before the softmax."""


def logits_divergence(student: torch.Tensor, teacher: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """T^2 KL(teacher, student) of the softened distributions, mean over rows.

    Args:
        student: logits, shape (rows, classes).
        teacher: logits, shape (rows, classes).
        temperature: T > 0; the factor T^2 keeps the gradient's size.

    Source: Hinton et al., arXiv:1503.02531; the released Bort code applies softmax twice to the student, which is
        not repeated here.
    """
    target = F.log_softmax(teacher / temperature, dim=-1)
    found = F.log_softmax(student / temperature, dim=-1)
    return F.kl_div(found, target, reduction="batchmean", log_target=True) * temperature**2


def cross_entropy_to_teacher(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the student to the teacher's output distribution, mean over rows, in nats.

    Args:
        student: logits, shape (rows, classes).
        teacher: logits, shape (rows, classes).

    Source: de Wynter & Perry, arXiv:2010.10499 (the error of a candidate).
    """
    return -(F.softmax(teacher, dim=-1) * F.log_softmax(student, dim=-1)).sum(-1).mean()


def hidden_mismatch(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared distance of hidden states over the teacher's own variance, mean over tokens that are not padding.

    Args:
        student: projected hidden states, shape (rows, tokens, teacher width).
        teacher: hidden states, shape (rows, tokens, teacher width).
        mask: 1 where a token is real, shape (rows, tokens).
    """
    kept = mask.bool()
    found, target = student[kept], teacher[kept]
    return F.mse_loss(found, target) / target.var(correction=0).clamp_min(1e-6)


def relation_mismatch(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of how the tokens of a row relate to each other, mean over tokens that are not padding.

    A token's relations are the softmax over the row's real tokens of its scaled dot products with them. The widths may
    differ, so no projection is needed.

    Args:
        student: hidden states, shape (rows, tokens, student width).
        teacher: hidden states, shape (rows, tokens, teacher width).
        mask: 1 where a token is real, shape (rows, tokens).

    Source: Wang et al., arXiv:2012.15828 (there of queries, keys and values, by relation heads; here of hidden states).
    """
    real = mask.bool()
    return _masked_divergence(_relations(student, real), _relations(teacher, real), real)


def attention_mismatch(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of where each token looks, mean over tokens that are not padding. Heads are averaged first,
    for their numbers may differ.

    Args:
        student: attention probabilities, shape (rows, student heads, tokens, tokens).
        teacher: attention probabilities, shape (rows, teacher heads, tokens, tokens).
        mask: 1 where a token is real, shape (rows, tokens).

    Source: the last layer's attention transfer of Wang et al., arXiv:2002.10957; the mean over heads is ours.
    """
    real = mask.bool()
    found, target = (torch.log(value.mean(dim=1).clamp_min(_LEAST_PROBABILITY)) for value in (student, teacher))
    return _masked_divergence(found, target, real)


def _relations(states: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Log-softmax of scaled dot products over real tokens, shape (rows, tokens, tokens)."""
    products = states @ states.transpose(1, 2) / math.sqrt(states.shape[-1])
    return F.log_softmax(products.masked_fill(~real[:, None, :], _EXCLUDED), dim=-1)


def _masked_divergence(student: torch.Tensor, teacher: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of log-probabilities over real tokens, mean over real tokens."""
    terms = F.kl_div(student, teacher, reduction="none", log_target=True).masked_fill(~real[:, None, :], 0.0)
    return terms.sum(-1)[real].mean()


def layer_map(num_student_layers: int, num_teacher_layers: int) -> tuple[int, ...]:
    """Teacher layer (counted from 1) that each student layer imitates; the last imitates the last."""
    return tuple(round((layer + 1) * num_teacher_layers / num_student_layers) for layer in range(num_student_layers))


@final
class StudentWithProjections(nn.Module):
    """A student and one learned projection per layer into the teacher's width; its forward pass returns the weighted
    loss.

    Args:
        student: the model that learns.
        teacher_width: width of the teacher's hidden states.
        num_teacher_layers: depth of the teacher.
        config: weights and temperature.
    """

    def __init__(
        self, student: PreTrainedModel, *, teacher_width: int, num_teacher_layers: int, config: DistillationConfig
    ) -> None:
        super().__init__()
        self.student = student
        self._config = config
        num_layers = student.config.num_hidden_layers if config.hidden_weight else 0
        self.layer_map = layer_map(num_layers, num_teacher_layers)
        self.projections = nn.ModuleList(
            nn.Linear(student.config.hidden_size, teacher_width, bias=False) for _ in self.layer_map
        )

    def forward(
        self, batch: Mapping[str, torch.Tensor], logits: torch.Tensor, hidden_states: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        """The loss on one batch.

        Args:
            batch: model inputs and `labels`.
            logits: the teacher's, shape (rows, classes).
            hidden_states: the teacher's, one more than its layers; empty if hidden states are not matched.
        """
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        output = self.student(**inputs, output_hidden_states=bool(self.layer_map))
        config = self._config
        loss = config.logits_weight * logits_divergence(output.logits, logits, temperature=config.temperature)
        loss = loss + config.labels_weight * F.cross_entropy(output.logits, batch["labels"])
        if self.layer_map:
            terms = [
                hidden_mismatch(projection(found), hidden_states[layer], batch["attention_mask"])
                for projection, found, layer in zip(
                    self.projections, output.hidden_states[1:], self.layer_map, strict=True
                )
            ]
            loss = loss + config.hidden_weight * torch.stack(terms).mean()
        return loss
