"""Keeps what a student was before a training, in case that makes it worse."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.optimizer.teacher_task import TeacherTask


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A student's weights and its score on development rows."""

    weights: Mapping[str, torch.Tensor]
    """Copies."""
    score: float
    """By the metric that decides."""
    dataset: Dataset
    """The rows."""

    @classmethod
    def now(cls, task: TeacherTask, student: PreTrainedModel, dataset: Dataset) -> "Scored":
        """A student as it is."""
        weights = {name: tensor.detach().clone() for name, tensor in student.state_dict().items()}
        return cls(weights=weights, score=task.score(student, dataset), dataset=dataset)

    def better(self, task: TeacherTask, student: PreTrainedModel, score: float) -> dict[str, Any]:
        """Give a student, in place, its weights back if they scored more than it does now; both scores are said.

        Returns:
            `validation_score` of the weights that it has now, `inherited_score`, `distilled_score`, and `kept`:
            "inherited" or "distilled".
        """
        is_worse = self.score > score
        kept = "inherited" if is_worse else "distilled"
        if is_worse:
            student.load_state_dict(self.weights)
        task.listener.say(
            f"development rows: {task.metric_name(self.dataset)} {self.score:.4f} before distillation, {score:.4f} "
            f"after; the {kept} weights are kept"
        )
        found = {"validation_score": max(self.score, score), "inherited_score": self.score, "distilled_score": score}
        return {**found, "kept": kept}
