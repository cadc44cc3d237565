"""The metrics of rows that are labeled as a whole, in process: scikit-learn and scipy behind one record."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

_AVERAGES = ("micro", "macro")
_ROUNDING = 1e-6  # of float32


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
        return class_scores(predictions, references)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RowMetric:
    """How answers to rows that are labeled as a whole are judged."""

    name: str
    """The score that decides."""
    score_names: tuple[str, ...]
    """Names of all scores."""
    trivial_answer: str
    """The answer that ignores the input, in words."""
    decided: Callable[[NDArray[Any]], NDArray[Any]]
    """What logits of shape (rows, outputs) say: a class, a set of classes or a number for each row."""
    judge: Callable[[Any, Any], dict[str, float]]
    """All scores of decided answers (first) by labels (second)."""
    constants: Callable[[NDArray[Any]], Iterable[NDArray[Any]]]
    """Of labels, the decided answers that are the same for every row, among which the best one is."""

    def scores(self, answers: NDArray[Any], rows: datasets.Dataset) -> dict[str, float]:
        """All scores of answers to token rows, as `predict_logits` gives them."""
        return self.judged(self.decided(answers), np.asarray(rows["labels"][:]))

    def score(self, answers: NDArray[Any], rows: datasets.Dataset) -> float:
        """The score that decides."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction) -> dict[str, float]:
        """The `compute_metrics` of a Trainer."""
        return self.judged(self.decided(predicted_logits(prediction)), np.asarray(prediction.label_ids))

    def judged(self, predictions: Any, references: Any) -> dict[str, float]:
        """All scores of what `decided` gives, by the rows' labels."""
        return self.judge(np.asarray(predictions), np.asarray(references))

    def trivial_score(self, references: Sequence[Any]) -> float:
        """What the best answer that is the same for every row scores, by the metric that decides."""
        wanted = np.asarray(references)
        return max(self.judged(constant, wanted)[self.name] for constant in self.constants(wanted))


def predicted_logits(prediction: EvalPrediction) -> NDArray[Any]:
    """The logits among what a Trainer collects."""
    found = prediction.predictions
    return np.asarray(found[0] if isinstance(found, tuple) else found)


def class_scores(predictions: Any, references: Any) -> dict[str, float]:
    """Accuracy and macro-F1 of classes, both of shape (n,)."""
    return {
        "accuracy": float(accuracy_score(references, predictions)),
        "f1_macro": float(f1_score(references, predictions, average="macro", zero_division=0)),
    }


def set_scores(predictions: NDArray[np.bool_], references: NDArray[Any]) -> dict[str, float]:
    """Accuracy, micro-F1 and macro-F1 of sets of classes, both of shape (rows, classes)."""
    wanted = references > 0.5
    averages = {f"f1_{kind}": f1_score(wanted, predictions, average=kind, zero_division=0) for kind in _AVERAGES}
    return {"accuracy": float(accuracy_score(wanted, predictions)), **{k: float(v) for k, v in averages.items()}}


def correlations(predictions: NDArray[Any], references: NDArray[Any]) -> dict[str, float]:
    """Spearman's and Pearson's correlations; zero where either does not vary, or is not finite, for then there is
    none.
    """
    pair = tuple(values.reshape(-1).astype(np.float64) for values in (predictions, references))
    if any(is_constant(values) or not np.isfinite(values).all() for values in pair):
        return {"spearman": 0.0, "pearson": 0.0}
    return {"spearman": float(spearmanr(*pair).statistic), "pearson": float(pearsonr(*pair).statistic)}


def is_constant(values: NDArray[Any]) -> bool:
    """Whether numbers do not differ by more than rounding, so that their order means nothing."""
    spread = np.ptp(values) if len(values) else 0.0
    return not spread > _ROUNDING * max(1.0, float(np.abs(values).max(initial=0.0)))
