"""Gives the classes of a data set the numbers that a teacher's head gives them."""

from collections.abc import Sequence
from typing import Any

from datasets import ClassLabel, Dataset
from datasets import Sequence as ListFeature
from transformers import PretrainedConfig

from optimum_ose.data.targets import kind_of_rows, token_label
from optimum_ose.exceptions import InvalidDataError


def class_names(dataset: Dataset) -> list[str]:
    """Names of the classes of a `label` column: those that it declares, else its values in order; none of numbers."""
    feature = dataset.features["label"]
    kind = kind_of_rows(dataset)
    if kind == "number":
        return []
    feature = feature if kind == "class" else feature.feature
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    values = dataset["label"] if kind == "class" else [item for value in dataset["label"] for item in value]
    return [str(value) for value in sorted(set(values))]


def row_labels(dataset: Dataset) -> list[Any]:
    """The `labels` entries of rows whose `label` column labels each of them as a whole: see `targets.token_label`."""
    kind = kind_of_rows(dataset)
    num_classes = len(class_names(dataset)) if kind == "classes" else 0
    return [token_label(value, kind, num_classes) for value in dataset["label"]]


def align_labels(dataset: Dataset, config: PretrainedConfig) -> Dataset:
    """The data set with its `label` column renumbered as in the teacher's `label2id`.

    Classes are matched by name, case folded. A teacher whose classes have no names (LABEL_0, LABEL_1, ...) keeps the
    data set's numbers.

    Args:
        dataset: with a `label` column of class indices.
        config: of a teacher with a trained head.

    Raises:
        InvalidDataError: if the classes differ.
    """
    kind = kind_of_rows(dataset)
    if kind == "number":
        return _require_one_number(dataset, config)
    names = class_names(dataset)
    known = {str(name).casefold(): int(index) for name, index in (config.label2id or {}).items()}
    is_unnamed = set(known) == {f"label_{index}" for index in range(len(known))}
    if len(names) != len(known) or not (is_unnamed or {name.casefold() for name in names} <= set(known)):
        raise InvalidDataError(
            "The classes of the data must be those of the teacher's head",
            f"the data has {_some(names)}; the teacher has {_some(sorted(known))}",
            "Give data of these classes, or a teacher without a head: it is then fine-tuned first",
        )
    if is_unnamed:
        return dataset
    order = [known[name.casefold()] for name in names]
    target = ClassLabel(names=[name for _, name in sorted(zip(order, names, strict=True))])
    if kind == "class":
        renumbered = [order[value] for value in dataset["label"]]
        return dataset.remove_columns("label").add_column("label", renumbered).cast_column("label", target)
    lists = [[order[value] for value in values] for values in dataset["label"]]
    return dataset.remove_columns("label").add_column("label", lists).cast_column("label", ListFeature(target))


def _require_one_number(dataset: Dataset, config: PretrainedConfig) -> Dataset:
    if config.num_labels != 1:
        raise InvalidDataError(
            "A teacher of rows labeled with numbers must have a head of one output",
            f"this one has {config.num_labels}",
            "Give data of its classes, or a teacher without a head: it is then fine-tuned first",
        )
    return dataset


def _some(names: Sequence[str]) -> str:
    return f"{len(names)}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
