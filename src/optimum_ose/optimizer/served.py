"""Scores of served folders: raw rows go through `optimum_ose.serving`, and its answers are judged."""

from collections.abc import Mapping
from pathlib import Path

from datasets import Dataset
from transformers import PretrainedConfig

from optimum_ose.data.labels import head_names
from optimum_ose.data.targets import kind_of_rows
from optimum_ose.exceptions import ExportError
from optimum_ose.serialization import read_json
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.benchmark_metrics import benchmark_metric
from optimum_ose.tasks.parts.by_problem_type import require_fitting_head

MAX_DIFFERENCE = 0.002
"""By how much a served score may differ from the score of the model in memory."""


def served_scores(
    folder: Path, dataset: Dataset, *, task: str, file_name: str | None, benchmark_task: str | None = None
) -> dict[str, float]:
    """All scores of a folder on raw rows, as `OnnxPipeline` serves it.

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
    return found.inputs.served_scores(pipeline, dataset, problem=found.problem(config), metric=judge, config=config)


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
