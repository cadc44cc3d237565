"""What the rows of a data set are labeled with: a class, several classes, a number, or a tag for each word."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset, Value
from datasets import Sequence as ListFeature

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import shown

Kind = Literal["class", "classes", "number", "tags", "spans"]
"""What one label is; spans of a context are not in a column `label`, but beside it."""
PROBLEM_TYPES: Mapping[Kind, str] = {
    "class": "single_label_classification",
    "classes": "multi_label_classification",
    "number": "regression",
}
"""What one label of a row is -> `problem_type` in a Transformers config."""
WORDS_TASK = "token-classification"
"""Transformers' name of the task whose rows are lists of words with a tag each."""
NO_CLASS = -100
"""Transformers' mark for what has no label; of numbers it is NaN."""
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_CODE = re.compile(r"[+-]?0[0-9]|\+")
"""How texts begin that are no plain numbers, such as 007."""
_WHOLE = re.compile(r"-?[0-9]{1,4000}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WRITTEN_MISSING = ("<NA>", "NaT")
"""How pandas writes what is missing where it is made text."""


def kind_of_values(values: Iterable[Any]) -> Kind:
    """What the labels of texts are: lists are sets of classes, numbers with fractions are numbers, all else is a class.

    Where all numbers are whole, or one loses digits as a float, they are classes, unless the user says that they are
    not. What is missing says nothing.
    """
    kept = [value for value in values if not is_missing(value)]
    if any(is_list(value) for value in kept):
        return "classes"
    is_numeric = all(
        isinstance(value, int | float | Decimal | np.number) and not isinstance(value, bool) for value in kept
    )
    if not is_numeric or not any(_has_fraction(value) for value in kept) or any(map(_loses_digits, kept)):
        return "class"
    return "number"


def are_written_numbers(texts: Iterable[str]) -> bool:
    """Whether texts of a file that knows nothing but text are numbers: each is a plain decimal number, at least one has
    a fraction that is not zero, and none loses digits as a float. Codes such as 007 are no numbers.
    """
    kept = {text.strip() for text in texts if isinstance(text, str) and text.strip()}
    if not all(len(text) < 100 and _NUMBER.fullmatch(text) and not _CODE.match(text) for text in kept):
        return False
    found = {text: float(text) for text in kept}
    if not all(map(math.isfinite, found.values())) or not any(value % 1 for value in found.values()):
        return False
    return all(int(text) == found[text] for text in kept if _WHOLE.fullmatch(text))


def is_written_number(text: str) -> bool:
    """Whether a text is a plain decimal number; codes such as 007 are none."""
    return _NUMBER.fullmatch(text) is not None and _CODE.match(text) is None


def is_list(value: Any) -> bool:
    """Whether a value is a list, a tuple or an array."""
    return isinstance(value, list | tuple | np.ndarray)


def is_missing(value: Any) -> bool:
    """Whether a single value stands for no value: None, NaN, NaT, `pandas.NA`."""
    return value is None or (not is_list(value) and not isinstance(value, str | dict | bytes) and bool(pd.isna(value)))


def kind_of_problem_type(problem_type: str) -> Kind:
    """What one label is, by a `problem_type`.

    Raises:
        InvalidDataError: if there is no such problem type.
    """
    kinds = {name: kind for kind, name in PROBLEM_TYPES.items()}
    if problem_type not in kinds:
        raise InvalidDataError(
            f"problem_type must be one of {', '.join(kinds)}", f"got {shown(problem_type)}", "Choose one of them"
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
    return tuple(sorted(found - {None}, key=_order))


def label_feature(names: Sequence[str], kind: Kind) -> Any:
    """The feature of the `label` column."""
    if kind == "number":
        return Value("float32")
    return ClassLabel(names=list(names)) if kind == "class" else ListFeature(ClassLabel(names=list(names)))


def encode_label(value: Any, index: Mapping[str, int], kind: Kind) -> Any:
    """A plain label as what the `label` column stores; a word without a tag stays None."""
    if kind == "number":
        return value
    return index[value] if kind == "class" else [None if name is None else index[name] for name in value]


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
    """The name of a class: a text as it is, but for spaces around it; a whole number or a truth value as text."""
    value = value.item() if isinstance(value, np.generic) else value
    if is_missing(value):
        raise ValueError("a class")
    if not isinstance(value, str | int | float | Decimal):
        raise ValueError("a class (a text, a number or a truth value)")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a class")
        return str(int(value)) if value.is_integer() else str(value)
    try:
        name = str(value).strip()
    except ValueError as error:  # a whole number of thousands of digits
        raise ValueError("a class") from error
    if not name or name in _WRITTEN_MISSING or has_surrogates(name):
        raise ValueError("a class")
    return name


def _class_names(value: Any) -> list[str]:
    if not is_list(value):
        raise ValueError("a list of classes")
    if any(is_list(item) or _has_fraction(item) for item in value):
        raise ValueError("a list of classes, or a list of zeros and ones, one for each class,")
    return sorted({_class_name(item) for item in value})


def _number(value: Any) -> float:
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise ValueError("a number")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("a number") from error
    if not math.isfinite(found):
        raise ValueError("a finite number")
    if _loses_digits(value):
        raise ValueError("a number that keeps its digits as a float")
    return found


def _tags(value: Any) -> list[str | None]:
    """The names of tags; None for a word that has none, which Transformers marks by -100."""
    if not is_list(value) or len(value) == 0:
        raise ValueError("a list of tags, one for each word")
    return [None if is_missing(item) or _is_ignored(item) else _class_name(item) for item in value]


def has_surrogates(text: str) -> bool:
    """Whether a text holds half of a character, which no encoding can write."""
    return _SURROGATE.search(text) is not None


def is_text(value: Any) -> bool:
    """Whether a value is a text that is not blank and can be written."""
    return isinstance(value, str) and bool(value.strip()) and not has_surrogates(value)


def _is_ignored(value: Any) -> bool:
    return isinstance(value, int | np.integer) and value == NO_CLASS


def _has_fraction(value: Any) -> bool:
    return isinstance(value, float | Decimal | np.floating) and math.isfinite(value) and bool(value % 1)


def _loses_digits(value: Any) -> bool:
    """Whether a whole number is another one as a float."""
    if not isinstance(value, int | np.integer):
        return False
    try:
        return int(float(value)) != int(value)
    except OverflowError:
        return True


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if _WHOLE.fullmatch(name) else (1, 0, name)


_CLEANERS: Mapping[Kind, Callable[[Any], Any]] = {
    "class": _class_name,
    "classes": _class_names,
    "number": _number,
    "tags": _tags,
}
