"""Checks data sets that come from Python: their kind, their rows, and whether their labels fit a model."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from datasets import Dataset

from optimum_ose.data.python_rows import checked_rows
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.guards import described
from optimum_ose.wording import listed

_REMEDIES = {
    "DataFrame": "Make one of it: datasets.Dataset.from_pandas(table)",
    "list": "Make one of it: datasets.Dataset.from_list(rows)",
    "dict": "Make one of it: datasets.Dataset.from_dict(columns)",
    "str": "Load it first: datasets.load_dataset(name, split='train')",
    "IterableDataset": "Load it without streaming, or collect its rows: datasets.Dataset.from_list(list(stream))",
}


def plain_dataset(dataset: object, role: str, *, needs_labels: bool = True) -> Dataset:
    """A data set with rows, in Python's own types whatever format it was set to; texts and labels are checked as those
    of files are: see `python_rows.checked_rows`.

    Args:
        dataset: what was passed.
        role: name of the argument.
        needs_labels: whether every row must have a label, where there is a `label` column.

    Raises:
        InvalidDataError: if it is no `datasets.Dataset`, has no row, makes its rows by a transform, or a row has no
            text or no label.
    """
    if not isinstance(dataset, Dataset):
        remedy = _REMEDIES.get(type(dataset).__name__, "Make one of your rows: datasets.Dataset.from_list(rows)")
        if type(dataset).__name__ in ("DatasetDict", "IterableDatasetDict"):
            splits: Any = dataset
            remedy = f"Pass one of its splits, such as dataset['train']; it has {listed(splits)}"
        raise InvalidDataError(f"{role} must be a datasets.Dataset", f"got {described(dataset)}", remedy)
    if not len(dataset):
        raise InvalidDataError(f"{role} must have at least one row", "it is empty", f"Pass rows as {role}")
    found = dataset.format
    if found["type"] == "custom":
        raise InvalidDataError(
            f"The rows of {role} must be what they are stored as",
            "a transform makes them when they are read",
            "Apply it once: dataset.with_format(None).map(function)",
        )
    is_plain = found["type"] is None and set(found["columns"]) == set(dataset.column_names)
    return checked_rows(dataset if is_plain else dataset.with_format(None), role=role, needs_labels=needs_labels)


def plain_or_none(dataset: object, role: str) -> Dataset | None:
    """As `plain_dataset`, labels or not; None stays None."""
    return None if dataset is None else plain_dataset(dataset, role, needs_labels=False)


def iterable_rows(rows: Any, role: str) -> Iterable[Mapping[str, Any]]:
    """Rows from any iterable of mappings; a `datasets.Dataset` as `plain_dataset` gives it.

    Raises:
        InvalidDataError: if it is nothing that holds rows, or an empty or transformed data set.
    """
    is_other = isinstance(rows, Dataset | str | bytes | Mapping) or not isinstance(rows, Iterable)
    found: Iterable[Mapping[str, Any]] = plain_dataset(rows, role) if is_other else rows
    return found


def require_known_classes(rows: Dataset, num_classes: int, role: str) -> None:
    """Pass if the classes of rows are numbers of a model's answers; -100 stands for no class.

    Args:
        rows: with `labels`: one class each, or one for each token.
        num_classes: answers of the model.
        role: name of the data set.

    Raises:
        InvalidDataError: if a label is none of them, or no whole number.
    """
    try:
        found = np.array(sorted(set(_flat(rows["labels"]))))
    except TypeError:
        found = np.array(["mixed"])
    outside = found if found.dtype.kind not in "iu" else found[(found != -100) & ((found < 0) | (found >= num_classes))]
    if len(outside):
        raise InvalidDataError(
            f"The labels of {role} must be classes of the model, whole numbers from 0 to {num_classes - 1}",
            f"it has the labels {listed(outside)}" if found.dtype.kind in "iufU" else "they are of several kinds",
            "Use a model with as many classes as the data, or number the labels from 0",
        )


def _flat(labels: Any) -> Any:
    for label in labels:
        if isinstance(label, list | tuple):
            yield from label
        else:
            yield label
