"""What the rows of a data set are labeled with: a class, several classes, a number, or a tag for each word."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from datasets import ClassLabel, Dataset, Value
from datasets import Sequence as ListFeature

from optimum_ose.exceptions import InvalidDataError

Kind = Literal["class", "classes", "number", "tags"]
"""What one label is."""
PROBLEM_TYPES: Mapping[Kind, str | None] = {
    "class": "single_label_classification",
    "classes": "multi_label_classification",
    "number": "regression",
    "tags": None,
}
"""Kind -> `problem_type` in a Transformers config."""
NO_CLASS = -100
"""Transformers' mark for what has no label; of numbers it is NaN."""


def kind_of_values(values: Iterable[Any]) -> Kind:
    """What the labels of texts are: lists are sets of classes, numbers with fractions are numbers, all else is a class.

    Where all numbers are whole they are classes, unless the user says that they are not.
    """
    kept = list(values)
    if any(_is_list(value) for value in kept):
        return "classes"
    is_numeric = all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in kept)
    return "number" if is_numeric and any(float(value) % 1 for value in kept) else "class"


def kind_of_problem(problem_type: str) -> Kind:
    """The kind that a `problem_type` names.

    Raises:
        InvalidDataError: if there is no such problem type.
    """
    kinds = {name: kind for kind, name in PROBLEM_TYPES.items() if name}
    if problem_type not in kinds:
        raise InvalidDataError(
            f"problem_type must be one of {', '.join(kinds)}", f"got {problem_type!r}", "Choose one of them"
        )
    return kinds[problem_type]


def kind_of_rows(rows: Dataset) -> Kind:
    """What the `label` column of checked rows holds."""
    feature = rows.features["label"]
    if "tokens" in rows.column_names:
        return "tags"
    if getattr(feature, "feature", None) is not None:
        return "classes"
    return "number" if str(getattr(feature, "dtype", "")).startswith(("float", "double")) else "class"


def clean_label(value: Any, kind: Kind) -> Any:
    """A label in its plain form: the name of a class, sorted names, a float, or the names of tags.

    Raises:
        ValueError: if it is none, saying what must hold.
    """
    return _CLEANERS[kind](value)


def names_of(values: Iterable[Any], kind: Kind) -> tuple[str, ...]:
    """Class names in their order: numbers by value, then names; none for numbers."""
    if kind == "number":
        return ()
    found = {name for value in values for name in ([value] if kind == "class" else value)}
    return tuple(sorted(found, key=_order))


def label_feature(names: Sequence[str], kind: Kind) -> Any:
    """The feature of the `label` column."""
    if kind == "number":
        return Value("float32")
    return ClassLabel(names=list(names)) if kind == "class" else ListFeature(ClassLabel(names=list(names)))


def encode_label(value: Any, index: Mapping[str, int], kind: Kind) -> Any:
    """A plain label as what the `label` column stores."""
    if kind == "number":
        return value
    return index[value] if kind == "class" else [index[name] for name in value]


def token_label(value: Any, kind: Kind, num_classes: int) -> Any:
    """The `labels` entry of a row that is labeled as a whole; None: the row has no label.

    A class is its number, numbers are floats, a set of classes is a vector of zeros and ones.
    """
    if kind == "class":
        return NO_CLASS if value is None else value
    if kind == "number":
        return math.nan if value is None else float(value)
    return [math.nan if value is None else float(index in value) for index in range(num_classes)]


def _class_name(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or _is_list(value):
        raise ValueError("a class")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _class_names(value: Any) -> list[str]:
    if not _is_list(value):
        raise ValueError("a list of classes")
    return sorted({_class_name(item) for item in value})


def _number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError("a number") from error
    if not math.isfinite(found):
        raise ValueError("a finite number")
    return found


def _tags(value: Any) -> list[str]:
    if not _is_list(value) or len(value) == 0:
        raise ValueError("a list of tags, one for each word")
    return [_class_name(item) for item in value]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.lstrip("-").isdigit() else (1, 0, name)


_CLEANERS: Mapping[Kind, Callable[[Any], Any]] = {
    "class": _class_name,
    "classes": _class_names,
    "number": _number,
    "tags": _tags,
}
