"""Compares candidates with their teacher where an answer is a vocabulary for each token: one row at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from optimum_ose.modeling.prediction import answered_tokens, answers_of, evaluating
from optimum_ose.tasks.parts.problem import Problem

Batches = Sequence[tuple[list[int], Mapping[str, torch.Tensor]]]
"""Row indices and padded inputs."""
Excess = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""See `Problem.excess`."""
_MOST_KEPT = 2**27
"""Numbers of the teacher's answers that are kept in memory; more are computed anew for each candidate."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What is known of a candidate's answers to n rows."""

    chosen: NDArray[np.int64]
    """The most probable answer of each token, row after row, shape (tokens,)."""
    excess: NDArray[np.float32]
    """How much worse it answers a row than the teacher, shape (n,)."""
    error: float
    """The problem's error, mean over tokens."""


@final
class LongAnswers:
    """A teacher's answers to rows, one batch after the other.

    Args:
        problem: what an answer is.
        excess: how much worse each answer of a candidate is.
        teacher: not changed.
        batches: all rows.
    """

    def __init__(self, problem: Problem, excess: Excess, teacher: PreTrainedModel, batches: Batches) -> None:
        self._excess, self._problem, self._teacher, self._batches = excess, problem, teacher, batches
        self._num_rows = sum(len(indices) for indices, _ in batches)
        num_tokens = sum(int(answered_tokens(batch).sum()) for _, batch in batches)
        size = num_tokens * int(getattr(teacher.config, "vocab_size", 0) or 1)
        self._kept: list[list[torch.Tensor]] | None = None
        if size <= _MOST_KEPT:
            self._kept = [self._answers(teacher, batch) for _, batch in batches]

    @property
    def of_teacher(self) -> NDArray[np.int64]:
        """The teacher's most probable answers, as `Compared.chosen`."""
        return self.compare(self._teacher).chosen

    def compare(self, model: torch.nn.Module) -> Compared:
        """What is known of the answers of a model."""
        chosen: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * self._num_rows
        excess, error, count = np.zeros(self._num_rows, dtype=np.float32), 0.0, 0
        for place, (indices, batch) in enumerate(self._batches):
            wanted = self._answers(self._teacher, batch) if self._kept is None else self._kept[place]
            for index, own, right in zip(indices, self._answers(model, batch), wanted, strict=True):
                found, target = own.double(), right.double()
                each = self._excess(found, target)
                excess[index] = float(each.sum() if self._problem.adds_up else each.mean())
                error += float(self._problem.error(found, target)) * len(found)
                count += len(found)
                chosen[index] = found.argmax(-1).numpy()
        mean = error / count if count else float("nan")
        return Compared(chosen=np.concatenate(chosen), excess=np.maximum(excess, np.float32(0)), error=mean)

    def _answers(self, model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """Of each row of a batch, without padding."""
        make: Any = model
        with evaluating(model):
            found = answers_of(make(**batch), batch).float().cpu()
        masks = answered_tokens(batch).bool().cpu()
        return [row[mask] for row, mask in zip(found, masks, strict=True)]
