"""Makes data sets that come from Python what data sets of files are: plain rows with checked texts and labels."""

from typing import Any

import pandas as pd
from datasets import ClassLabel, Dataset
from datasets import Sequence as ListFeature

from optimum_ose.data.columns import check_texts
from optimum_ose.data.label_column import label_form, without_vectors
from optimum_ose.data.targets import NO_CLASS, is_missing
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import shown

_PART = 10_000
"""Rows that are checked at once."""


def checked_rows(dataset: Dataset, *, role: str = "data", needs_labels: bool = True) -> Dataset:
    """The data set as the rest of the package reads it; rows that are not of text are only freed of their format.

    A format of numpy, pandas or torch is left off. Texts and labels are checked. Vectors of zeros and ones become lists
    of the classes "0", "1" and so on; tags -100 and -1, which stand for no tag, become None.

    Args:
        dataset: with the columns `text`, maybe `text_pair`, or `tokens`; and maybe `label`.
        role: what messages call it, such as "train".
        needs_labels: whether every row must have a label, where there is a `label` column.

    Raises:
        InvalidDataError: if it is empty, or a row has no text or no label.
    """
    if len(dataset) == 0:
        raise InvalidDataError(f"{role.capitalize()} rows must be there", "the data set is empty", "Give rows")
    plain = dataset if dataset.format["type"] is None else dataset.with_format(None)
    for name in ("text", "text_pair", "tokens"):
        if name in plain.column_names:
            _check_column(plain, name, role)
    if "label" not in plain.column_names or not {"text", "tokens"} & set(plain.column_names):
        return plain
    labels = plain["label"][:]
    if "tokens" in plain.column_names:
        return _with_open_tags(plain, labels)
    if needs_labels:
        _require_labels(plain, labels, role)
    return _with_classes(plain, labels)


def _check_column(rows: Dataset, name: str, role: str) -> None:
    """`check_texts`, part by part: a corpus need not fit into memory unless something is wrong in it."""
    for start in range(0, len(rows), _PART):
        part = pd.Series(rows[start : start + _PART][name], dtype=object)
        try:
            check_texts(part, role=name, name=name, split=role)
        except InvalidDataError:
            check_texts(pd.Series(rows[name][:], dtype=object), role=name, name=name, split=role)
            raise


def _require_labels(rows: Dataset, labels: list[Any], role: str) -> None:
    """-1 is how `datasets.ClassLabel` marks a row without a class."""
    is_class = isinstance(rows.features["label"], ClassLabel)
    missing = [row for row, value in enumerate(labels) if is_missing(value) or (is_class and value < 0)]
    if missing:
        raise InvalidDataError(
            "Column 'label' must hold a label in every row",
            f"{len(missing)} of {len(labels)} rows of {role} have none; the first is row {missing[0]}: "
            f"{shown(labels[missing[0]])}",
            "Remove those rows, or give them as unlabeled data",
        )


def _with_open_tags(rows: Dataset, labels: list[Any]) -> Dataset:
    """Words without a tag have None."""
    is_class = isinstance(getattr(rows.features["label"], "feature", None), ClassLabel)
    open_tags = {NO_CLASS, -1} if is_class else {NO_CLASS}
    if not any(tag in open_tags for tags in labels for tag in tags or ()):
        return rows
    found = [tags and [None if tag in open_tags else tag for tag in tags] for tags in labels]
    return rows.remove_columns("label").add_column("label", found, feature=rows.features["label"])


def _with_classes(rows: Dataset, labels: list[Any]) -> Dataset:
    """Vectors of zeros and ones as lists of classes; a list whose feature names classes holds their numbers."""
    feature = getattr(rows.features["label"], "feature", None)
    if feature is None or isinstance(feature, ClassLabel):
        return rows
    table = pd.DataFrame({"label": pd.Series(labels, dtype=object)})
    form = label_form({"train": table}, "label", None, is_tagging=False, warnings=[])
    if form.vector_size is None:
        return rows
    found = without_vectors(labels, form.vector_size)
    sets = [value if is_missing(value) else [int(name) for name in value] for value in found]
    named = ListFeature(ClassLabel(names=[str(index) for index in range(form.vector_size)]))
    return rows.remove_columns("label").add_column("label", sets, feature=named)
