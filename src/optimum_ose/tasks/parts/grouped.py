"""Metrics that must know which rows belong together."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from datasets import Dataset
from numpy.typing import NDArray
from transformers import EvalPrediction


@runtime_checkable
class GroupMetric(Protocol):
    """A `Metric` whose scores need columns of the rows beside their labels."""

    @property
    def needs_groups(self) -> bool:
        """Whether the column `group` must be there."""

    def compute(self, prediction: EvalPrediction, rows: Dataset | None = None) -> dict[str, float]:
        """The `compute_metrics` of a Trainer, for rows in the order in which they were answered."""

    def served(self, answers: Sequence[Any], label_names: Sequence[str]) -> NDArray[Any]:
        """What answers of `OnnxPipeline` say, in the form that `judged` takes, given the names of the classes."""

    def judged(self, predictions: Any, references: Any, rows: Dataset | None = None) -> dict[str, float]:
        """All scores of decided answers to rows."""
