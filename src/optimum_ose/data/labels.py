"""Gives the classes of a data set the numbers that a teacher's head gives them."""

from collections.abc import Sequence

from datasets import ClassLabel, Dataset
from transformers import PretrainedConfig

from optimum_ose.exceptions import InvalidDataError


def class_names(dataset: Dataset) -> list[str]:
    """Names of the classes of a `label` column: those that it declares, else its values in order."""
    feature = dataset.features["label"]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    return [str(value) for value in sorted(set(dataset["label"]))]


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
    renumbered = [order[value] for value in dataset["label"]]
    return dataset.remove_columns("label").add_column("label", renumbered).cast_column("label", target)


def _some(names: Sequence[str]) -> str:
    return f"{len(names)}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
