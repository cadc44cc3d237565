"""What a kind of answer is: the record `Problem`, and the Protocol of its metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.data.batching import pad_rows
from optimum_ose.preprocessing import Collate, Preprocessor
from optimum_ose.tasks.parts.comparing import require_same_answers
from optimum_ose.tasks.parts.judge import Judge

Batch = Mapping[str, torch.Tensor]
"""Model inputs, and maybe `labels`."""


Comparable = Callable[[PreTrainedModel, PreTrainedModel, Preprocessor, PreTrainedTokenizerBase | None], None]
"""Given a student, a teacher, what makes the inputs of both, and the teacher's own tokenizer if it is another one."""


class Metric(Protocol):
    """How answers are judged by labels."""

    @property
    def name(self) -> str:
        """The score that decides."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of all scores."""

    @property
    def trivial_answer(self) -> str:
        """The answer that ignores the input, in words."""

    def scores(self, answers: NDArray[Any], rows: Dataset) -> dict[str, float]:
        """All scores of answers to token rows, as `predict_logits` gives them."""

    def score(self, answers: NDArray[Any], rows: Dataset) -> float:
        """The score that decides."""

    def compute(self, prediction: EvalPrediction) -> dict[str, float]:
        """The `compute_metrics` of a Trainer."""

    def judged(self, predictions: Any, references: Any) -> dict[str, float]:
        """All scores of decided answers: classes, sets, numbers, or the tags of each row."""

    def trivial_score(self, references: Sequence[Any]) -> float:
        """What the best answer that is the same for every row scores, by the metric that decides."""


class Mismatch(Protocol):
    """The loss of a student's answers against its teacher's."""

    def __call__(
        self, student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
    ) -> torch.Tensor:
        """The loss, a scalar.

        Args:
            student: shape (answers, size).
            teacher: shape (answers, size).
            temperature: of distributions that are softened.
            rare_class_weight: of tags; see `losses.rare_class_counts`.
        """


def _logits(output: Any, batch: Batch) -> torch.Tensor:
    return output.logits  # type: ignore[no-any-return]


def _all(answers: torch.Tensor, batch: Batch) -> torch.Tensor:
    return answers


def _as_served(answers: Sequence[Any], label_names: Sequence[str]) -> Any:
    return answers


def _padded(preprocessor: Preprocessor, seed: int) -> Collate:
    return pad_rows(preprocessor)


def _same_answers(student: PreTrainedModel, teacher: PreTrainedModel, *_: object) -> None:
    require_same_answers(student, teacher)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an answer is: what is imitated, what is learned from labels, what the error of a candidate is."""

    name: str
    """In messages."""
    mismatch: Mismatch
    """What distillation minimizes."""
    error: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """How far answers of a candidate (first) are from its teacher's, both of shape (answers, size)."""
    excess: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    """How much worse each answer of a candidate (first) is than its teacher's own, shape (answers,); None: it is not
    known answer by answer."""
    adds_up: bool = False
    """Whether the excess of a row of several answers is their sum, as where they are one choice, and not their mean."""
    label_loss: Callable[[Any, Batch], torch.Tensor] | None = None
    """The loss of a student's output against the labels, over what has one; None: nothing is learned from them."""
    has_own_loss: bool = False
    """Whether `label_loss` teaches in a Trainer too, in place of the loss that comes with the model."""
    metric: Callable[[Sequence[str]], Metric] | None = None
    """How answers are judged by labels, given the names of the classes; None: there are none."""
    judge: Judge | None = None
    """How answers are judged without labels; None: by labels."""
    served: Callable[[Sequence[Any], Sequence[str]], Any] = _as_served
    """What answers of `OnnxPipeline` say, in the form that `Metric.judged` takes, given the names of the classes."""
    answers: Callable[[Any, Batch], torch.Tensor] = _logits
    """The part of a model's output that is imitated, shape (answers, size)."""
    asked: Callable[[PreTrainedModel, Dataset, Preprocessor], NDArray[Any]] | None = None
    """What a model answers to rows where it is judged, one answer for each; None: its answers in one pass."""
    kept_of_batch: Callable[[Any, Any], torch.Tensor] | None = None
    """What a Trainer keeps of a batch's logits (first) for the metric, given its labels; None: all of them."""
    kept_answers: Callable[[torch.Tensor, Batch], torch.Tensor] = _all
    """Of padded answers that were computed before, those that count, shape (answers, size)."""
    collator: Callable[[Preprocessor, int], Collate] = _padded
    """Makes batches to learn from, given a seed."""
    require_comparable: Callable[
        [PreTrainedModel, PreTrainedModel, Preprocessor, PreTrainedTokenizerBase | None], None
    ] = _same_answers
    """Refuses a student whose answers cannot be compared with those of its teacher, by an `InvalidConfigError`."""
    learning_rate: float = 3e-4
    """Of distillation, where none is set."""
    is_kept: bool = True
    """Whether the teacher's answers are computed once; else it is asked anew in each step."""
    without_masks: "Problem | None" = None
    """The problem that compares the answers of every real token; None: it is this one."""
    has_classes: bool = True
    """Whether teacher and student must have the same number of outputs (`num_labels`)."""
    labels_are_classes: bool = False
    """Whether each label is the index of a class: of a row, or of each token."""
    labels_tokens: bool = False
    """Whether each token has a label of its own, not each row."""
    classes_are_rare: bool = False
    """Whether most classes are absent from most rows, so that a new head needs a start at their frequencies."""

    def __str__(self) -> str:
        """Its name."""
        return self.name
