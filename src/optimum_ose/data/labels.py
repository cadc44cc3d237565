"""Gives the classes of a data set the numbers that a teacher's head gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Dataset, Features
from datasets import Sequence as ListFeature
from transformers import PretrainedConfig

from optimum_ose.data.targets import kind_of_rows, names_of, token_label
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed


def class_names(dataset: Dataset) -> list[str]:
    """Names of the classes of a `label` column: those that it declares, else its values in order; none of numbers."""
    feature = dataset.features["label"]
    kind = kind_of_rows(dataset)
    if kind == "number":
        return []
    feature = feature if kind == "class" else feature.feature
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    values = dataset["label"] if kind == "class" else [item for value in dataset["label"] for item in value or ()]
    return list(names_of({str(value) for value in values if value is not None}, "class"))


def with_names(dataset: Dataset, names: Sequence[str] | None = None) -> Dataset:
    """The data set with a `label` column of class indices and their names; of numbers it is returned as it is.

    Args:
        dataset: its labels are class indices, or the names of classes, or whole numbers that stand for names.
        names: of all classes, in their order; None: those of the data set.

    Raises:
        InvalidDataError: if the data set has a class that is not among the names.
    """
    if kind_of_rows(dataset) == "number":
        return dataset
    own = class_names(dataset)
    wanted = list(names) if names is not None else own
    unknown = [name for name in own if name not in wanted]
    if unknown:
        raise InvalidDataError(
            f"The classes of every split must be those of the training rows: {listed(wanted)}",
            f"further rows have {listed(unknown)}",
            "Give all splits the same classes",
        )
    if wanted == own and isinstance(_class_feature(dataset), ClassLabel):
        return dataset
    index = {name: number for number, name in enumerate(wanted)}
    return _renumbered(dataset, [index[name] for name in own], own, wanted)


def same_classes(train: Dataset, further: Dataset) -> tuple[Dataset, Dataset]:
    """Both data sets with class indices, numbered as the names of the first are.

    Raises:
        InvalidDataError: if the second has a class that the first does not name.
    """
    if not {"label"} <= set(train.column_names) & set(further.column_names):
        return train, further
    named = with_names(train)
    return named, with_names(further, class_names(named))


def row_labels(dataset: Dataset) -> list[Any]:
    """The `labels` entries of rows whose `label` column labels each of them as a whole: see `targets.token_label`."""
    kind = kind_of_rows(dataset)
    num_classes = len(class_names(dataset)) if kind == "classes" else 0
    return [token_label(value, kind, num_classes) for value in dataset["label"]]


def align_labels(dataset: Dataset, config: PretrainedConfig) -> Dataset:
    """The data set with its `label` column renumbered as in the teacher's head.

    Classes are matched by name: exactly, else case folded where that leaves no doubt. Names that are the whole
    numbers from 0 on, as many as the head has classes, are its indices. A head whose classes have no names (LABEL_0,
    LABEL_1, ...) keeps the data set's numbers.

    Args:
        dataset: with a `label` column of class indices, names or numbers.
        config: of a teacher with a trained head.

    Raises:
        InvalidDataError: if the head lacks a class.
    """
    if kind_of_rows(dataset) == "number":
        return dataset
    dataset, known = with_names(dataset), head_names(config)
    names = class_names(dataset)
    order = head_indices(names, known)
    if order is None and is_unnamed(config) and len(names) == len(known):
        return dataset
    if order is None:
        raise InvalidDataError(
            "The classes of the data must be those of the teacher's head",
            f"the data has {len(names)}: {listed(names)}; the teacher has {len(known)}: {listed(known)}",
            "Give data of these classes, or a teacher without a head: it is then fine-tuned first",
        )
    if is_unnamed(config) and len(names) == len(known) and order == list(range(len(names))):
        return dataset
    return _renumbered(dataset, order, names, known)


def head_names(config: PretrainedConfig) -> list[str]:
    """Names of the classes of a head, by index."""
    return [str(name) for _, name in sorted((int(index), name) for index, name in (config.id2label or {}).items())]


def write_names(config: PretrainedConfig, names: Sequence[str]) -> None:
    """Write the names of a head's classes into its config, in place."""
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}


def is_unnamed(config: PretrainedConfig) -> bool:
    """Whether the classes of a head are called LABEL_0, LABEL_1 and so on."""
    return [name.casefold() for name in head_names(config)] == [f"label_{n}" for n in range(len(config.id2label or {}))]


def head_indices(names: Sequence[str], known: Sequence[str]) -> list[int] | None:
    """For each class of the data its index in the head; None if they cannot be matched.

    Args:
        names: of the data, in their order.
        known: of the head, by index.
    """
    exact = {name: index for index, name in enumerate(known)}
    if set(names) <= set(exact):
        return [exact[name] for name in names]
    folded = {name.casefold(): index for index, name in enumerate(known)}
    own = [name.casefold() for name in names]
    if len(folded) == len(known) and len(set(own)) == len(own) and set(own) <= set(folded):
        return [folded[name] for name in own]
    return [int(name) for name in names] if are_indices(names, len(known)) else None


def are_indices(names: Sequence[str], num_classes: int) -> bool:
    """Whether the names of classes are the whole numbers from 0 on, one for each of the head's classes."""
    return len(names) == num_classes and set(names) == {str(index) for index in range(num_classes)}


def _class_feature(dataset: Dataset) -> Any:
    feature = dataset.features["label"]
    return getattr(feature, "feature", None) or feature


def _renumbered(dataset: Dataset, order: Sequence[int], names: Sequence[str], target: Sequence[str]) -> Dataset:
    """The data set with class i, called `names[i]`, as number `order[i]` of the classes `target`."""
    is_encoded = isinstance(_class_feature(dataset), ClassLabel)
    number: Mapping[Any, int] = dict(zip(range(len(names)) if is_encoded else names, order, strict=True))

    def renumber(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, list):
            return [renumber(item) for item in value]
        return number[value if is_encoded else str(value)]

    feature = ClassLabel(names=list(target))
    wanted = feature if kind_of_rows(dataset) == "class" else ListFeature(feature)
    labels = [renumber(value) for value in dataset["label"]]
    others = [name for name in dataset.column_names if name != "label"]
    if not others:
        return Dataset.from_dict({"label": labels}, features=Features({"label": wanted}))
    return dataset.select_columns(others).add_column("label", labels).cast_column("label", wanted)
