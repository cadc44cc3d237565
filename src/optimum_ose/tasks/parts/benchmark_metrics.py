"""The metrics of GLUE, SuperGLUE and RACE as their papers define them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import EvalPrediction

from optimum_ose.data.benchmark_tasks import BenchmarkTask, Form, named_benchmark_task
from optimum_ose.data.groups import CREDIT, GROUP
from optimum_ose.data.labels import head_indices
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.tasks.parts.metrics import correlations, predicted_logits

_RIGHT = 1
"""Class, in the benchmark's order, of an answer that is right."""
_CHANCE: Mapping[Form, str] = MappingProxyType(
    {
        "rows": "always answering the best constant",
        "choices": "choosing an answer at random",
        "answers": "calling all answers right, or none",
    }
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Answers beside what they are judged by, row by row."""

    found: NDArray[Any]
    """Classes or numbers; of answers to choose from, how much is to be said for each. Shape (rows,)."""
    wanted: NDArray[Any]
    """Classes or numbers, shape (rows,)."""
    group: NDArray[Any] | None = None
    """Of each row, shape (rows,); None: each is a group."""
    credit: NDArray[Any] | None = None
    """Of each row, shape (rows,)."""

    @property
    def groups(self) -> list[NDArray[np.intp]]:
        """The rows of each group."""
        group = np.arange(len(self.found)) if self.group is None else self.group
        order = np.argsort(group, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)

    @property
    def chosen(self) -> NDArray[np.intp]:
        """The row of each group for which most is to be said; the first of several."""
        return np.asarray([rows[self.found[rows].argmax()] for rows in self.groups])


def _f1(judged: Judged) -> float:
    return float(f1_score(judged.wanted, judged.found, labels=[_RIGHT], average="macro", zero_division=0))


def _exact_match(judged: Judged) -> float:
    """Share of questions all of whose answers are told rightly."""
    return float(np.mean([(judged.found[rows] == judged.wanted[rows]).all() for rows in judged.groups]))


def _f1_m(judged: Judged) -> float:
    """F1 of the right answers to each question, mean over questions."""
    return float(np.mean([_f1(Judged(found=judged.found[r], wanted=judged.wanted[r])) for r in judged.groups]))


def _gender_parity(judged: Judged) -> float:
    """Share of the pairs of rows that are answered alike."""
    return float(np.mean([len(set(judged.found[rows].tolist())) == 1 for rows in judged.groups]))


def _f1_macro(judged: Judged) -> float:
    return float(f1_score(judged.wanted, judged.found, average="macro", zero_division=0))


def _chosen_right(judged: Judged) -> float:
    return float((judged.wanted[judged.chosen] == _RIGHT).mean())


def _chosen_credit(judged: Judged) -> float:
    credit = judged.credit if judged.credit is not None else judged.wanted == _RIGHT
    return float(credit[judged.chosen].mean())


Measure = Callable[[Judged], float]
_OF_ROWS: Mapping[str, Measure] = {
    "accuracy": lambda judged: float(accuracy_score(judged.wanted, judged.found)),
    "f1": _f1,
    "f1_macro": _f1_macro,
    "matthews_correlation": lambda judged: float(matthews_corrcoef(judged.wanted, judged.found)),
    "spearman": lambda judged: correlations(judged.found, judged.wanted)["spearman"],
    "pearson": lambda judged: correlations(judged.found, judged.wanted)["pearson"],
    "gender_parity": _gender_parity,
}
_OF_CHOICES: Mapping[str, Measure] = {"accuracy": _chosen_right, "exact_match": _chosen_right, "f1": _chosen_credit}
_OF_ANSWERS: Mapping[str, Measure] = {"f1_a": _f1, "exact_match": _exact_match, "f1_m": _f1_m}
_MEASURES: Mapping[Form, Mapping[str, Measure]] = MappingProxyType(
    {"rows": _OF_ROWS, "choices": _OF_CHOICES, "answers": _OF_ANSWERS}
)
_OF_PAIRS = ("gender_parity",)
"""Measures that need groups where other rows of their form do not."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkMetric:
    """How a benchmark judges answers of its task: a `Metric`."""

    task: BenchmarkTask
    """Whose metrics these are."""
    label_names: tuple[str, ...] = ()
    """Classes of the head, by index."""

    @property
    def name(self) -> str:
        """The score that decides."""
        return self.task.metrics[0]

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of all scores."""
        return self.task.metrics

    @property
    def trivial_answer(self) -> str:
        """The answer that ignores the input, in words."""
        return _CHANCE[self.task.form]

    @property
    def needs_groups(self) -> bool:
        """Whether scores need to know which rows belong together."""
        return self.task.is_grouped

    def scores(self, answers: NDArray[Any], rows: Dataset) -> dict[str, float]:
        """All scores of answers to token rows, as `predict_logits` gives them."""
        return self.judged(self.decided(answers), rows["labels"][:], rows)

    def score(self, answers: NDArray[Any], rows: Dataset) -> float:
        """The score that decides."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction, rows: Dataset | None = None) -> dict[str, float]:
        """The `compute_metrics` of a Trainer, for rows in the order in which they were answered."""
        return self.judged(self.decided(predicted_logits(prediction)), np.asarray(prediction.label_ids), rows)

    def decided(self, logits: NDArray[Any]) -> NDArray[Any]:
        """What logits of shape (rows, outputs) say of each row; see `Judged.found`."""
        if self.task.kind == "number":
            return logits.reshape(-1)
        if self.task.form == "choices":
            right = self._order[_RIGHT]
            return np.asarray(logits[:, right] - np.delete(logits, right, axis=1).max(axis=1))
        return np.asarray(logits.argmax(-1))

    def served(self, answers: Sequence[Any], label_names: Sequence[str]) -> NDArray[Any]:
        """The same of answers of `OnnxPipeline`: all labels of each row with their scores."""
        if self.task.kind == "number":
            return np.asarray([answer[0]["score"] for answer in answers])
        index = {name: number for number, name in enumerate(label_names)}
        logs = np.full((len(answers), len(label_names)), -np.inf)
        for row, answer in zip(logs, answers, strict=True):
            for item in answer:
                row[index[item["label"]]] = np.log(max(item["score"], 1e-45))
        return self.decided(logs)

    def judged(self, predictions: Any, references: Any, rows: Dataset | None = None) -> dict[str, float]:
        """All scores of what `decided` gives.

        Args:
            predictions: shape (rows,).
            references: labels, numbered as the head's classes are, shape (rows,).
            rows: with `group` and maybe `credit`, where rows belong together.

        Raises:
            InvalidDataError: if scores are over groups, and rows do not tell theirs.
        """
        columns = {name: np.asarray(rows[name][:]) for name in (GROUP, CREDIT) if rows and name in rows.column_names}
        if self.needs_groups and GROUP not in columns:
            raise InvalidDataError(
                "Rows of this benchmark task must say which of them belong together (column group)",
                "they have no such column",
                "Make them with benchmark_tables, or name the column of the question",
            )
        found, wanted = np.asarray(predictions), np.asarray(references)
        if self.task.kind != "number":
            found = found if self.task.form == "choices" else self._as_benchmark(found)
            wanted = self._as_benchmark(wanted)
        judged = Judged(found=found, wanted=wanted, group=columns.get(GROUP), credit=columns.get(CREDIT))
        measures = _MEASURES[self.task.form]
        names = [name for name in self.task.metrics if name not in _OF_PAIRS or judged.group is not None]
        return {name: measures[name](judged) for name in names}

    def trivial_score(self, references: Sequence[Any]) -> float:
        """What the best answer that is the same for every row scores; of answers to choose from, a random choice."""
        wanted = np.asarray(references)
        if self.task.kind == "number":
            return 0.0
        if self.task.form == "choices":
            return float((self._as_benchmark(wanted) == _RIGHT).mean())
        own = self._as_benchmark(wanted)
        measure = _MEASURES[self.task.form][self.name]
        constants = (np.full(len(own), number) for number in range(len(self.task.label_names)))
        return max(measure(Judged(found=constant, wanted=own)) for constant in constants)

    @property
    def _order(self) -> list[int]:
        """For each class of the benchmark its index in the head."""
        names = self.task.label_names
        return (head_indices(names, self.label_names) if self.label_names else None) or list(range(len(names)))

    def _as_benchmark(self, classes: NDArray[Any]) -> NDArray[np.int64]:
        """Classes of the head as the benchmark numbers them; -1: none of its classes."""
        numbers = np.full(max(int(classes.max(initial=0)), *self._order) + 1, -1)
        numbers[self._order] = np.arange(len(self._order))
        indices = classes.astype(np.int64)
        return np.where(indices < 0, -1, numbers[np.maximum(indices, 0)])


def benchmark_metric(name: str, label_names: Sequence[str] = ()) -> BenchmarkMetric:
    """How a task such as "glue/cola" is judged.

    Args:
        name: of the benchmark's task.
        label_names: classes of the head, by index; none: numbered as the benchmark does.

    Raises:
        InvalidConfigError: if there is no such task.
    """
    return BenchmarkMetric(task=named_benchmark_task(name), label_names=tuple(label_names))
