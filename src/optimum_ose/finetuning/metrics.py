"""The task's metrics, in process: `evaluate`'s interface over scikit-learn, without its download."""

from collections.abc import Callable
from typing import Any, final

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

from optimum_ose.exceptions import UnsupportedModelError

_TASKS = ("text-classification", "token-classification")
_IGNORED_LABEL = -100  # Transformers' mark for positions without a label


@final
class ClassificationMetric(evaluate.Metric):  # type: ignore[misc]
    """Accuracy and macro-F1, both in [0, 1]: `ClassificationMetric().compute(predictions=..., references=...)`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy and the unweighted mean of the F1 scores of all classes.",
            citation="",
            inputs_description="predictions, references: (n,) class indices.",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return _scores(predictions, references)


def compute_metrics_for(task: str) -> Callable[[EvalPrediction], dict[str, float]]:
    """The `compute_metrics` of a Trainer: "accuracy" and "f1_macro", over rows or, per token, over labeled positions.

    Args:
        task: "text-classification" or "token-classification".

    Raises:
        UnsupportedModelError: if the task is another one.
    """
    if task not in _TASKS:
        raise UnsupportedModelError(
            f"metrics are known for {' and '.join(_TASKS)}",
            f"got the task {task!r}",
            "Pass your own compute_metrics to the Trainer",
        )
    return _classification_metrics


def _classification_metrics(prediction: EvalPrediction) -> dict[str, float]:
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    answers: NDArray[Any] = np.asarray(logits).argmax(axis=-1)
    references = np.asarray(prediction.label_ids)
    is_labeled = references != _IGNORED_LABEL
    return _scores(answers[is_labeled], references[is_labeled])


def _scores(predictions: Any, references: Any) -> dict[str, float]:
    return {
        "accuracy": float(accuracy_score(references, predictions)),
        "f1_macro": float(f1_score(references, predictions, average="macro", zero_division=0)),
    }
