"""The module that computes the weighted distillation loss of a student."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn
from transformers import PreTrainedModel

from optimum_ose.configuration import DistillationConfig
from optimum_ose.distillation.losses import attention_mismatch, hidden_mismatch, relation_mismatch
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.model_inputs import run_example
from optimum_ose.modeling.prediction import evaluating, real_tokens
from optimum_ose.modeling.trial import is_pair
from optimum_ose.preprocessing import LABELS, NO_INPUTS
from optimum_ose.tasks.parts.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What the teacher shows of one batch."""

    answers: torch.Tensor
    """Shape (answers, size)."""
    hidden_states: Sequence[torch.Tensor] = ()
    """One more than its layers, shape (rows, tokens, width); empty if they are not matched."""
    attentions: Sequence[torch.Tensor] = ()
    """One per layer, shape (rows, heads, tokens, tokens); empty if they are not matched."""


def layer_map(num_student_layers: int, num_teacher_layers: int) -> tuple[int, ...]:
    """Teacher layer (counted from 1) that each student layer imitates; the last imitates the last."""
    return tuple(round((layer + 1) * num_teacher_layers / num_student_layers) for layer in range(num_student_layers))


def wanted_internals(config: DistillationConfig) -> dict[str, bool]:
    """What a model must return beside its answer."""
    return {
        "output_hidden_states": config.hidden_weight > 0 or config.relation_weight > 0,
        "output_attentions": config.attention_weight > 0,
    }


def show_attentions(*models: PreTrainedModel) -> None:
    """Let models compute the attention maps that they are to show: their answers stay the same.

    Raises:
        InvalidConfigError: if one runs another attention than the eager one, and cannot be switched.
    """
    for model in models:
        if model.config._attn_implementation != "eager" and hasattr(model, "set_attn_implementation"):
            with suppress(ValueError, ImportError):
                model.set_attn_implementation("eager")
    others = sorted({str(model.config._attn_implementation) for model in models} - {"eager"})
    if others:
        raise InvalidConfigError(
            "attention_weight needs models that compute attention maps: attn_implementation='eager'",
            f"got {', '.join(others)}",
            "Load the teacher with attn_implementation='eager', or set attention_weight=0",
        )


def require_one_stack(config: DistillationConfig, *models: PreTrainedModel) -> None:
    """Refuse to match layers of models that read with an encoder and write with a decoder.

    Raises:
        InvalidConfigError: if such a model is given, and the config matches layers.
    """
    if any(wanted_internals(config).values()) and any(map(is_pair, models)):
        raise InvalidConfigError(
            "hidden_weight, relation_weight and attention_weight need models of one stack",
            f"{type(models[0]).__name__} has an encoder and a decoder",
            "Set these weights to 0: the student then learns from answers and labels",
        )


def require_tokens(*models: PreTrainedModel) -> None:
    """Refuse models whose layers do not all show the same tokens, each as wide as the model.

    Raises:
        InvalidConfigError: if one's do not, as those of models that merge patches or convolve.
    """
    for model in models:
        inputs, config = run_example(model).inputs, model.config
        with evaluating(model):
            states = model(**inputs, output_hidden_states=True).hidden_states
        shapes = [tuple(state.shape[1:]) for state in states]
        if shapes != [(shapes[0][0], config.hidden_size)] * (getattr(config, "num_hidden_layers", 0) + 1):
            raise InvalidConfigError(
                "hidden_weight, relation_weight and attention_weight need layers that all show the same tokens",
                f"those of {type(model).__name__} show {', '.join(map(str, dict.fromkeys(shapes)))}",
                "Set these weights to 0: the student then learns from answers and labels",
            )


@final
class Pupil(nn.Module):
    """A student and one learned projection per layer into the teacher's width; its forward pass returns the weighted
    loss.

    Args:
        student: the model that learns.
        teacher: whose sizes the projections and the layer map take.
        problem: what an answer is.
        config: weights and temperature.
    """

    def __init__(
        self, student: PreTrainedModel, teacher: PreTrainedModel, *, problem: Problem, config: DistillationConfig
    ) -> None:
        super().__init__()
        self.student = student
        self._problem = problem
        self._config = config
        needs_layers = config.hidden_weight or config.attention_weight
        num_layers = student.config.num_hidden_layers if needs_layers else 0
        self.layer_map = layer_map(num_layers, teacher.config.num_hidden_layers) if num_layers else ()
        self.projections = nn.ModuleList(
            nn.Linear(student.config.hidden_size, teacher.config.hidden_size, bias=False)
            for _ in (self.layer_map if config.hidden_weight else ())
        )

    def forward(self, batch: Mapping[str, torch.Tensor], lesson: Lesson) -> torch.Tensor:
        """The loss on one batch.

        Args:
            batch: model inputs and, if they are learned from, `labels`.
            lesson: what the teacher shows of the batch.
        """
        config, internals = self._config, wanted_internals(self._config)
        inputs = {name: value for name, value in batch.items() if name not in NO_INPUTS}
        output = self.student(**inputs, **{name: True for name, is_wanted in internals.items() if is_wanted})
        terms = self._internal_terms(output, lesson, batch)
        if config.logits_weight:
            loss = self._problem.mismatch(
                self._problem.answers(output, batch),
                lesson.answers,
                temperature=config.temperature,
                rare_class_weight=config.rare_class_weight,
            )
            terms.append(config.logits_weight * loss)
        if config.labels_weight and not batch.keys().isdisjoint(LABELS) and self._problem.label_loss is not None:
            terms.append(config.labels_weight * self._problem.label_loss(output, batch))
        return torch.stack(terms).sum()

    def _internal_terms(self, output: Any, lesson: Lesson, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        config, terms = self._config, list[torch.Tensor]()
        if not (shown := lesson.hidden_states or lesson.attentions):
            return terms
        mask = real_tokens(batch, shown[-1])
        if config.hidden_weight:
            projected = zip(self.projections, output.hidden_states[1:], self.layer_map, strict=True)
            losses = [
                hidden_mismatch(project(found), lesson.hidden_states[layer], mask)
                for project, found, layer in projected
            ]
            terms.append(config.hidden_weight * torch.stack(losses).mean())
        if config.relation_weight:
            loss = relation_mismatch(output.hidden_states[-1], lesson.hidden_states[-1], mask)
            terms.append(config.relation_weight * loss)
        if config.attention_weight:
            looked = zip(output.attentions, self.layer_map, strict=True)
            losses = [attention_mismatch(found, lesson.attentions[layer - 1], mask) for found, layer in looked]
            terms.append(config.attention_weight * torch.stack(losses).mean())
        return terms
