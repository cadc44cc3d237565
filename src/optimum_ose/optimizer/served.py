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

    Args:
        student: its answers.
        teacher: those of the teacher to the same rows.
        alpha: accepted probability that it keeps less.

    Returns:
        None where there are too few rows to say anything, `LEAST_GROUPS`, or the teacher has no score.
    """
    groups, name = student.groups, student.metric.name
    if len(groups) < LEAST_GROUPS or len(teacher.groups) != len(groups):
        return None

    def score(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = np.concatenate([groups[group] for group in chosen])
        return np.array([judged.of(rows).scores()[name] for judged in (teacher, student)])

    parts = score_parts(score, len(groups))
    if not np.isfinite(parts).all() or not parts[0].mean() > 0:
        return None
    return keep.proven_share(ScoreParts(teacher=parts[0], candidates=parts[1:], range=None), 0, alpha=alpha)


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
