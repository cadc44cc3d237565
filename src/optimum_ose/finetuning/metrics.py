"""The tasks' metrics, in process: `evaluate`'s interface over scikit-learn, scipy and seqeval, without its download."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import f1_score as entity_f1
from seqeval.metrics import precision_score, recall_score
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction, PretrainedConfig

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.tasks import TRAINABLE_TASKS, Problem, problem_of

_AVERAGES = ("micro", "macro")
_ENTITY_TAG = re.compile(r"O|[BIESLU]-.+")
_OUTSIDE = "O"
_IGNORED_LABEL = -100  # Transformers' mark for positions without a label
_ROUNDING = 1e-6  # of float32
NO_TAG = -1
"""The predicted tag of a word that has no token."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMetric:
    """How answers to a kind of problem are judged."""

    problem: Problem
    """What an answer is."""
    label_names: tuple[str, ...] = ()
    """Names of the classes, by index; of tags those that begin an entity start with B-."""

    @property
    def name(self) -> str:
        """The score that decides: accuracy, F1 or Spearman's correlation."""
        if self.problem == "token-labels":
            return "f1" if self._marks_entities else "accuracy"
        return {"multi-label": "f1_micro", "regression": "spearman"}.get(self.problem, "accuracy")

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of all scores."""
        if self.problem == "regression":
            return ("spearman", "pearson")
        if self.problem == "multi-label":
            return ("accuracy", *(f"f1_{kind}" for kind in _AVERAGES))
        entities = ("precision", "recall", "f1") if self.problem == "token-labels" and self._marks_entities else ()
        return ("accuracy", "f1_macro", *entities)

    @property
    def _marks_entities(self) -> bool:
        return bool(self.label_names) and all(_ENTITY_TAG.fullmatch(name) for name in self.label_names)

    def scores(self, answers: NDArray[Any], rows: datasets.Dataset) -> dict[str, float]:
        """All scores of answers to token rows, as `predict_logits` gives them."""
        if self.problem != "token-labels":
            return self.judged(self.decided(answers), np.asarray(rows["labels"][:]))
        ends = np.cumsum([len(ids) for ids in rows["input_ids"]])[:-1]
        return self.tag_scores(np.split(answers.argmax(-1), ends), rows["labels"])

    def score(self, answers: NDArray[Any], rows: datasets.Dataset) -> float:
        """The score that decides."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction) -> dict[str, float]:
        """The `compute_metrics` of a Trainer."""
        found = prediction.predictions
        logits = np.asarray(found[0] if isinstance(found, tuple) else found)
        references = np.asarray(prediction.label_ids)
        if self.problem == "token-labels":
            return self.tag_scores(list(logits.argmax(-1)), list(references))
        return self.judged(self.decided(logits), references)

    def decided(self, logits: NDArray[Any]) -> NDArray[Any]:
        """What logits of rows say: classes (rows,), sets of classes (rows, classes), or numbers (rows,)."""
        if self.problem == "regression":
            return logits.reshape(-1)
        return np.asarray(logits > 0 if self.problem == "multi-label" else logits.argmax(-1))

    def judged(self, predictions: NDArray[Any], references: NDArray[Any]) -> dict[str, float]:
        """All scores of what `decided` gives.

        Args:
            predictions: of rows.
            references: classes (rows,), vectors of zeros and ones (rows, classes), or numbers (rows,).
        """
        if self.problem == "regression":
            return _correlations(predictions.reshape(-1), references.reshape(-1))
        if self.problem == "multi-label":
            return _set_scores(predictions, references > 0.5)
        return _scores(predictions, references)

    def tag_scores(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """All scores of tags of tokens or of words.

        Args:
            predictions: a tag for each place of each row; `NO_TAG` where a word has no token that could tell one. It
                counts as O, and as wrong where the tags have no O.
            references: the tags that are right; -100 or None: the place does not count.
        """
        none = self.label_names.index(_OUTSIDE) if _OUTSIDE in self.label_names else NO_TAG
        pairs = []
        for found, wanted in zip(predictions, references, strict=True):
            right = np.asarray([_IGNORED_LABEL if tag is None else tag for tag in wanted], dtype=np.int64)
            given = np.asarray(found, dtype=np.int64)
            counted = right != _IGNORED_LABEL
            pairs.append((np.where(given == NO_TAG, none, given)[counted], right[counted]))
        scores = _scores(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)))
        if not self._marks_entities:
            return scores
        named = ([[self._tag_name(tag) for tag in row] for row in rows] for rows in zip(*pairs, strict=True))
        return {**scores, **_entity_scores(*named)}

    def _tag_name(self, tag: int) -> str:
        return _OUTSIDE if tag == NO_TAG else self.label_names[tag]


def metric_for(problem: Problem, config: PretrainedConfig) -> TaskMetric:
    """The metric of a model's problem, with the names of its classes."""
    names = tuple(str(name) for _, name in sorted((config.id2label or {}).items()))
    return TaskMetric(problem=problem, label_names=names)


def compute_metrics_for(
    task: str, config: PretrainedConfig | None = None
) -> Callable[[EvalPrediction], dict[str, float]]:
    """The `compute_metrics` of a Trainer.

    Of classes "accuracy" and "f1_macro"; of several classes also "f1_micro"; of numbers "spearman" and "pearson"; of
    tags "accuracy" and "f1_macro" over labeled positions and, where tags mark entities (B-, I-, O) and `config` names
    them, their "precision", "recall" and "f1".

    Args:
        task: "text-classification", "token-classification" or "image-classification".
        config: the model's; None: a classifier with one class a row, tags without names.

    Raises:
        UnsupportedModelError: if the task is another one.
    """
    if task not in TRAINABLE_TASKS:
        raise UnsupportedModelError(
            f"metrics are known for {' and '.join(TRAINABLE_TASKS)}",
            f"got the task {task!r}",
            "Pass your own compute_metrics to the Trainer",
        )
    plain: Problem = "token-labels" if task == "token-classification" else "single-label"
    metric = TaskMetric(problem=plain) if config is None else metric_for(problem_of(task, config), config)
    return metric.compute


def _scores(predictions: Any, references: Any) -> dict[str, float]:
    return {
        "accuracy": float(accuracy_score(references, predictions)),
        "f1_macro": float(f1_score(references, predictions, average="macro", zero_division=0)),
    }


def _set_scores(predictions: NDArray[np.bool_], references: NDArray[np.bool_]) -> dict[str, float]:
    averages = {f"f1_{kind}": f1_score(references, predictions, average=kind, zero_division=0) for kind in _AVERAGES}
    return {"accuracy": float(accuracy_score(references, predictions)), **{k: float(v) for k, v in averages.items()}}


def is_constant(values: NDArray[Any]) -> bool:
    """Whether numbers do not differ by more than rounding, so that their order means nothing."""
    spread = np.ptp(values) if len(values) else 0.0
    return not spread > _ROUNDING * max(1.0, float(np.abs(values).max(initial=0.0)))


def _correlations(predictions: NDArray[Any], references: NDArray[Any]) -> dict[str, float]:
    """Correlations; zero where either does not vary, or is not finite, for then there is none."""
    pair = predictions.astype(np.float64), references.astype(np.float64)
    if any(is_constant(values) or not np.isfinite(values).all() for values in pair):
        return {"spearman": 0.0, "pearson": 0.0}
    return {"spearman": float(spearmanr(*pair).statistic), "pearson": float(pearsonr(*pair).statistic)}


def _entity_scores(predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
    measures = {"precision": precision_score, "recall": recall_score, "f1": entity_f1}
    return {name: float(measure(references, predictions, zero_division=0)) for name, measure in measures.items()}
