"""Looks at the label column of all splits together: what its labels are, and what a user should know of them."""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimum_ose.data.tables import CLASS_NAMES, UNTYPED
from optimum_ose.data.targets import (
    NO_CLASS,
    Kind,
    are_written_numbers,
    is_list,
    is_missing,
    is_written_number,
    kind_of_values,
)
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed, shown

_MAX_DIGITS = 100
_LIKE_MISSING = frozenset({"nan", "na", "n/a", "null", "none"})
"""Texts that often stand for no label, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelForm:
    """What the labels of a data set are."""

    kind: Kind
    """What one label is."""
    vector_size: int | None = None
    """Entries of the vectors of zeros and ones that stand for sets of classes; None: sets are lists of classes."""
    declared: tuple[str, ...] = ()
    """Names of the classes in the data set's own order, where it declares one."""


def label_form(
    tables: Mapping[str, pd.DataFrame],
    label: str,
    named: Kind | None,
    *,
    is_tagging: bool,
    warnings: list[str],
) -> LabelForm:
    """What the labels are: what the user says, else what they look like.

    Args:
        tables: split name -> table; all have the column.
        label: the column.
        named: what the user says.
        is_tagging: whether labels are lists of tags.
        warnings: a sentence is added where texts were taken for numbers.

    Raises:
        InvalidDataError: if lists can be read in two ways, or texts look like lists.
    """
    declared = _declared(tables, label)
    if is_tagging:
        _refuse_negative_tags(tables, label)
        return LabelForm(kind="tags", declared=declared)
    values = [value for table in tables.values() for value in table[label] if not is_missing(value)]
    kind = named or kind_of_values(values)
    texts = [value for value in values if isinstance(value, str)]
    if kind in ("class", "classes") and texts:
        _refuse_written_lists(texts, label)
    if named is None and kind == "class" and _are_untyped(tables) and are_written_numbers(texts):
        kind = "number"
        warnings.append(
            f"the labels in column {shown(label)} are read as numbers, for some have a fraction "
            "(problem type regression; single_label_classification makes each a class)"
        )
    size = _vector_size(values, label) if kind == "classes" else None
    return LabelForm(kind=kind, vector_size=size, declared=declared if size is None else ())


def without_vectors(values: Iterable[Any], size: int) -> list[Any]:
    """Vectors of zeros and ones as lists of the classes "0", "1" and so on; other values as they are, to be refused."""
    return [_names_of_ones(value) if _is_vector(value, size) else value for value in values]


def order_names(names: Sequence[str], form: LabelForm) -> tuple[str, ...]:
    """The names that occur, in the data set's own order if it declares one; of vectors one for each entry."""
    if form.vector_size is not None:
        return tuple(map(str, range(form.vector_size)))
    if not set(names) <= set(form.declared):
        return tuple(names)
    return tuple(name for name in form.declared if name in set(names))


def label_warnings(tables: Mapping[str, pd.DataFrame], label: str, kind: Kind) -> list[str]:
    """What a user should know of names: spaces around them, names that look missing, and names that look alike: but for
    case, for the way in which an accent is written, or as numbers of one value.
    """
    if kind == "number":
        return []
    values = [value for table in tables.values() for value in table[label]]
    counts = pd.Series([name for value in values for name in _texts_of(value)], dtype=object).value_counts()
    padded = [name for name in counts.index if name != name.strip()]
    found = []
    if padded:
        found.append(
            f"{int(counts[padded].sum()):,} labels have spaces around them, which are removed: {_quoted(padded)}"
        )
    missing = sorted({name.strip() for name in counts.index if name.strip().casefold() in _LIKE_MISSING})
    if missing:
        found.append(f"the labels {_quoted(missing)} are read as classes; remove their rows if they stand for no label")
    by_look: dict[str, set[str]] = {}
    for name in counts.index:
        by_look.setdefault(_look(name), set()).add(name.strip())
    alike = [sorted(names) for names in by_look.values() if len(names) > 1]
    if alike:
        found.append(f"classes that look alike are kept apart: {_told_apart(name for x in alike for name in x)}")
    return found


def _look(name: str) -> str:
    """What names that look alike have in common."""
    text = unicodedata.normalize("NFKC", name).strip().casefold()
    number = text.replace(",", ".", 1)
    if len(number) > _MAX_DIGITS or not is_written_number(number):
        return text
    return repr(float(number))


def _told_apart(names: Iterable[str]) -> str:
    """Names in quotes; those that look the same on a screen with their code points."""
    return listed(repr(name) if name.isascii() else ascii(name) for name in names)


def _quoted(names: Iterable[str]) -> str:
    return listed(map(repr, names))


def _texts_of(value: Any) -> list[str]:
    items = value if is_list(value) else [value]
    return [item for item in items if isinstance(item, str)]


def _refuse_negative_tags(tables: Mapping[str, pd.DataFrame], label: str) -> None:
    """A whole number below zero that is not -100 is no index of a tag, and Transformers would not pass over it."""
    for split, table in tables.items():
        for row, tags in enumerate(table[label]):
            wrong = [tag for tag in tags if _is_negative(tag)] if is_list(tags) else []
            if wrong:
                raise InvalidDataError(
                    f"Column {shown(label)} must mark words without a tag by {NO_CLASS} or null",
                    f"row {row} of {split} holds {wrong[0]}",
                    f"Write {NO_CLASS} or null there, or the name of the tag",
                )


def _is_negative(tag: Any) -> bool:
    return isinstance(tag, int | np.integer) and bool(tag < 0 and tag != NO_CLASS)


def _declared(tables: Mapping[str, pd.DataFrame], label: str) -> tuple[str, ...]:
    found = {table.attrs.get(CLASS_NAMES, {}).get(label, ()) for table in tables.values()}
    return tuple(name.strip() for name in found.pop()) if len(found) == 1 else ()


def _are_untyped(tables: Mapping[str, pd.DataFrame]) -> bool:
    return all(table.attrs.get(UNTYPED, False) for table in tables.values())


def _refuse_written_lists(texts: Sequence[str], label: str) -> None:
    """A list in a CSV field is a text like others, and its classes would be lost in one name."""
    sample = sorted(set(texts))[:20]
    if not all(text.strip().startswith("[") and text.strip().endswith("]") for text in sample):
        return
    if all(_is_written_list(text) for text in sample):
        raise InvalidDataError(
            f"Column {shown(label)} must hold the name of a class, or real lists of classes",
            f"it holds texts that look like lists: {shown(sample[0])}",
            "Write the rows to a jsonl or parquet file, where labels can be lists",
        )


def _is_written_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text.replace("'", '"')), list)
    except (ValueError, RecursionError):
        return False


def _vector_size(values: Sequence[Any], label: str) -> int | None:
    """Entries of each vector of zeros and ones, if all lists are that; None if they are lists of classes.

    Raises:
        InvalidDataError: if they can be read in both ways.
    """
    lists = [tuple(value) for value in values if is_list(value)]
    numeric = [items for items in lists if all(_is_zero_or_one(item) for item in items)]
    if not lists or len(numeric) < len(lists) or not any(numeric):
        return None
    sizes = {len(items) for items in lists}
    repeats = any(len(set(items)) < len(items) for items in lists)
    are_marks = any(isinstance(item, float | bool | np.floating | np.bool_) for items in lists for item in items)
    if len(sizes) == 1 and max(sizes) > 1 and (repeats or are_marks or len(set(lists)) > 1):
        return sizes.pop()
    if repeats or are_marks or (len(sizes) == 1 and max(sizes) > 1):
        raise InvalidDataError(
            f"Column {shown(label)} must hold lists of classes, or vectors of zeros and ones that are equally long",
            f"its lists of {listed(sorted(sizes))} entries, such as {shown(list(lists[0]))}, can be read in both ways",
            "Write the names of the classes, or vectors with an entry for each class",
        )
    return None


def _is_zero_or_one(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.bool_) and value in (0, 1)


def _is_vector(value: Any, size: int) -> bool:
    return is_list(value) and len(value) == size and all(map(_is_zero_or_one, value))


def _names_of_ones(vector: Sequence[Any]) -> list[str]:
    return [str(index) for index, entry in enumerate(vector) if entry]
