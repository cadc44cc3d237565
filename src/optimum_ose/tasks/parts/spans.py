"""The span of a context that answers a question: where it starts and where it ends, a choice of tokens each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import EvalPrediction

from optimum_ose.data.squad import POSITIONS
from optimum_ose.data.targets import NO_CLASS
from optimum_ose.tasks.parts.comparing import any_sizes
from optimum_ose.tasks.parts.losses import logits_divergence
from optimum_ose.tasks.parts.problem import Batch, Problem
from optimum_ose.tasks.parts.span_scores import answer_scores

_FAR = -1e4
"""In place of the logits of padding."""


def span_logits(output: Any, mask: torch.Tensor) -> torch.Tensor:
    """Logarithms of the probabilities that a span starts and ends at each token, shape (rows, tokens, 2).

    Args:
        output: of a model, with `start_logits` and `end_logits`, each of shape (rows, tokens).
        mask: 1 where a token is no padding, of the same shape.
    """
    logits = torch.stack([output.start_logits, output.end_logits], dim=-1).float()
    return F.log_softmax(logits.masked_fill(mask.unsqueeze(-1) == 0, _FAR), dim=1)


def _by_choice(answers: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Of shape (rows, tokens, 2), all starts and then all ends, shape (2 * rows, tokens)."""
    padded = answers.masked_fill(batch["attention_mask"].unsqueeze(-1) == 0, _FAR)
    return torch.cat([padded[..., 0], padded[..., 1]])


def _answers(output: Any, batch: Batch) -> torch.Tensor:
    return _by_choice(span_logits(output, batch["attention_mask"]), batch)


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    return logits_divergence(student, teacher, temperature=temperature)


def _error(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to the teacher's starts and ends, mean over both and over rows, in nats.

    Args:
        student: what `span_logits` gives, of the tokens of all rows, shape (tokens, 2).
        teacher: the same.
    """
    probabilities = teacher.exp()
    return -(probabilities * student).sum() / probabilities.sum()


def _excess(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """What each token adds to KL(teacher, student) of its row's start and end, mean over both, shape (tokens,)."""
    return (teacher.exp() * (teacher - student)).sum(-1) / 2


def _label_loss(output: Any, batch: Batch) -> torch.Tensor:
    found = span_logits(output, batch["attention_mask"])
    losses = [_choice_loss(found[..., side], batch[name]) for side, name in enumerate(POSITIONS)]
    return (losses[0] + losses[1]) / 2


def _choice_loss(logits: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Mean over rows that have a place; 0 where none has."""
    if (places == NO_CLASS).all():
        return logits.sum() * 0
    return F.nll_loss(logits, places, ignore_index=NO_CLASS)


@final
@dataclass(frozen=True, slots=True)
class SpanMetric:
    """How spans are judged: F1 of their words; of tokens as long as no text is at hand."""

    name: str = "f1"
    score_names: tuple[str, ...] = ("exact_match", "f1")
    trivial_answer: str = "always giving the most frequent answer"

    def scores(self, answers: NDArray[Any], rows: Dataset) -> dict[str, float]:
        """Of the tokens of windows: those of the most probable starts and ends."""
        ends = np.cumsum([len(ids) for ids in rows["input_ids"]])[:-1]
        found = [part.argmax(axis=0) for part in np.split(answers, ends)]
        return _token_scores(found, list(zip(rows["start_positions"], rows["end_positions"], strict=True)))

    def score(self, answers: NDArray[Any], rows: Dataset) -> float:
        """F1."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction) -> dict[str, float]:
        """The `compute_metrics` of a Trainer, of the tokens of windows."""
        starts, ends = (np.asarray(part) for part in prediction.predictions[:2])
        found = list(zip(starts.argmax(-1), ends.argmax(-1), strict=True))
        return _token_scores(found, list(zip(*map(np.asarray, prediction.label_ids), strict=True)))

    def judged(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        """Exact match and F1 of answers by all right answers of each question."""
        return answer_scores(predictions, references)

    def trivial_score(self, references: Sequence[Sequence[str]]) -> float:
        """What the most frequent answer scores everywhere."""
        ((frequent, _),) = Counter(text for items in references for text in items).most_common(1)
        return self.judged([frequent] * len(references), references)[self.name]


def _token_scores(found: Sequence[Any], right: Sequence[Any]) -> dict[str, float]:
    overlaps, exact = [], []
    for (start, end), (first, last) in zip(found, right, strict=True):
        shared = max(0, min(end, last) - max(start, first) + 1)
        overlaps.append(2 * shared / (max(end - start + 1, 1) + last - first + 1))
        exact.append(float((start, end) == (first, last)))
    return {"exact_match": float(np.mean(exact)), "f1": float(np.mean(overlaps))}


def _served(answers: Sequence[Any], label_names: Sequence[str]) -> list[str]:
    return [str(answer["answer"]) for answer in answers]


METRIC = SpanMetric()
"""Of spans."""
SPANS = Problem(
    name="spans",
    mismatch=_mismatch,
    error=_error,
    excess=_excess,
    adds_up=True,
    label_loss=_label_loss,
    metric=lambda label_names: METRIC,
    served=_served,
    answers=_answers,
    kept_answers=_by_choice,
    require_comparable=any_sizes,
    has_classes=False,
)
"""Where an answer starts and ends."""
