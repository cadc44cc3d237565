"""Answers and labels as people read them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from datasets import Dataset

from optimum_ose.data.labels import class_names
from optimum_ose.data.targets import kind_of_rows
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.multi_label import THRESHOLD

_CHUNK = 256
"""Files that are in memory at once."""


def labels_of_files(pipeline: OnnxPipeline, rows: Dataset, inputs: Callable[[Dataset], list[Any]]) -> list[Any]:
    """All labels of each row with their scores, the most probable first; few files are in memory at once.

    Args:
        pipeline: of the classifier.
        rows: with a file each.
        inputs: what a client sends for some of them.
    """
    chunks = (rows.select(range(start, min(start + _CHUNK, len(rows)))) for start in range(0, len(rows), _CHUNK))
    return [answer for chunk in chunks for answer in pipeline(inputs(chunk), top_k=None)]


def labels_in_words(pipeline: OnnxPipeline, inputs: list[Any], rows: Dataset) -> list[dict[str, Any]]:
    """What a classifier answers to each input: `label` (a class, all classes of a set, or a number), and of a class its
    `score`.

    Args:
        pipeline: of the classifier.
        inputs: as a client sends them.
        rows: whose `label` column tells of what kind the answers are.
    """
    kind = kind_of_rows(rows)
    if kind == "classes":
        return [{"label": _set_of(items)} for items in pipeline(inputs, top_k=None)]
    best: list[Mapping[str, Any]] = [items[0] for items in pipeline(inputs, top_k=1)]
    if kind == "number":
        return [{"label": f"{item['score']:.4g}"} for item in best]
    return [{"label": item["label"], "score": item["score"]} for item in best]


def true_label(rows: Dataset, row: int) -> str:
    """The label of a row: a class, a set of classes or a number."""
    value, kind, names = rows[row]["label"], kind_of_rows(rows), class_names(rows)
    if kind == "number":
        return f"{value:.4g}" if value is not None else "none"
    if kind == "class":
        return str(names[value])
    return ", ".join(str(names[index]) for index in value) or "no class"


def entities_in_words(found: Iterable[tuple[str, str]]) -> str:
    """Names of entities, each with its text."""
    return ", ".join(f"{word} ({name})" for name, word in found) or "no entity"


def _set_of(items: Sequence[Mapping[str, Any]]) -> str:
    told = [f"{item['label']} ({item['score']:.2f})" for item in items if item["score"] > THRESHOLD]
    return ", ".join(told) or "no class"
