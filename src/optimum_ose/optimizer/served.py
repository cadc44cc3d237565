"""Scores of served folders: raw rows go through `optimum_ose.serving`, and its answers are judged."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig

from optimum_ose.core import keep
from optimum_ose.core.keep import ScoreParts, score_parts
from optimum_ose.data.labels import head_names
from optimum_ose.data.targets import kind_of_rows
from optimum_ose.exceptions import ExportError
from optimum_ose.serialization import read_json
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.benchmark_metrics import benchmark_metric
from optimum_ose.tasks.parts.by_problem_type import require_fitting_head
from optimum_ose.tasks.parts.served_answers import ServedAnswers

LEAST_GROUPS = 30
"""Rows, or groups of rows that are judged together, below which nothing is said of all rows like them."""
MAX_DIFFERENCE = 0.002
"""By how much a served score may differ from the score of the model in memory."""


def served_answers(
    folder: Path, dataset: Dataset, *, task: str, file_name: str | None, benchmark_task: str | None = None
) -> ServedAnswers:
    """What a folder answers to raw rows, as `OnnxPipeline` serves it, decided and ready to be judged.

    Args:
        folder: an exported model.
        dataset: raw rows of the task, with labels.
        task: that the folder serves.
        file_name: ONNX file relative to the folder; None: the default of `OnnxPipeline`.
        benchmark_task: whose metric judges; None: the task's own.

    Raises:
        InvalidDataError: if the rows' classes are not the folder's.
        OutputFolderError: if a file is missing.
    """
    config, found = _head_of(folder), task_named(task)
    if "label" in dataset.column_names and found.inputs.labels_name_outputs:
        require_fitting_head(kind_of_rows(dataset), config)
    pipeline = OnnxPipeline.from_pretrained(folder, file_name=file_name)
    judge = found.metric(config)
    if benchmark_task is not None and found.inputs.labels_name_outputs:
        judge = benchmark_metric(benchmark_task, head_names(config))
    return found.inputs.served_answers(pipeline, dataset, problem=found.problem(config), metric=judge, config=config)


def proven_share(student: ServedAnswers, teacher: ServedAnswers, *, alpha: float) -> float | None:
    """Share of the teacher's score that a student is shown to keep on all rows like these, which chose neither.

    An accuracy is a mean over rows, and the statement holds for every number of them. Other scores have the parts of a
    jackknife over groups of rows, and it holds the better the more rows there are.

    Args:
        student: its answers.
        teacher: those of the teacher to the same rows.
        alpha: accepted probability that it keeps less.

    Returns:
        None where nothing can be said: the teacher has no score, there are too few rows, or too few on which the two
        differ (`LEAST_GROUPS`).
    """
    if len(student.groups) < LEAST_GROUPS or len(teacher.groups) != len(student.groups):
        return None
    rights = [answers.rights for answers in (teacher, student)]
    if rights[0] is not None and rights[1] is not None:
        if not rights[0].any():
            return None
        parts = ScoreParts(teacher=rights[0], candidates=rights[1][None])
    else:
        found = _jackknifed(student, teacher)
        if found is None:
            return None
        parts = found
    return keep.proven_share(parts, 0, alpha=alpha) or None


def _jackknifed(student: ServedAnswers, teacher: ServedAnswers) -> ScoreParts | None:
    groups, name = student.groups, student.metric.name

    def score(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = np.concatenate([groups[group] for group in chosen])
        return np.array([answers.of(rows).scores()[name] for answers in (teacher, student)])

    differs = student.differs_from(teacher)
    if sum(bool(differs[group].any()) for group in groups) < LEAST_GROUPS:
        return None
    parts = score_parts(score, len(groups))
    if not np.isfinite(parts).all() or not parts[0].mean() > 0:
        return None
    return ScoreParts(teacher=parts[0], candidates=parts[1:], range=None)


def _head_of(folder: Path) -> PretrainedConfig:
    """What a folder's config says of its head; no code that comes with a model is run."""
    content = read_json(folder / "config.json")
    kept = ("id2label", "label2id", "problem_type")
    return PretrainedConfig(**{name: content[name] for name in kept if content.get(name) is not None})


def require_same_score(
    served: Mapping[str, float], computed: Mapping[str, float], *, metric: str, num_rows: int
) -> None:
    """Pass if what a folder serves scores what its model scored in memory; one row may differ, for it may be a tie.

    Args:
        served: scores of the fp32 ONNX file.
        computed: scores of the PyTorch model.
        metric: the one that decides.
        num_rows: rows that were judged.

    Raises:
        ExportError: if the scores differ.
    """
    if abs(served[metric] - computed[metric]) > max(MAX_DIFFERENCE, 1.01 / num_rows):
        raise ExportError(
            f"The exported folder must score what its model scores, within {MAX_DIFFERENCE}",
            f"on the same {num_rows:,} rows the served onnx/model.onnx has {metric} {served[metric]:.4f}, the PyTorch "
            f"model {computed[metric]:.4f}",
            "Do not use the folder. Report the model type and its tokenizer to the authors of optimum-ose",
        )
