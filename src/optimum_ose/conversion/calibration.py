"""Rows of a file on which static int8 is calibrated and formats are compared."""

from pathlib import Path

from datasets import Dataset

from optimum_ose.conversion.loading import Source
from optimum_ose.data.columns import TEXT_NAMES, first_of
from optimum_ose.data.given import plain_dataset
from optimum_ose.data.reading import read_file, read_lines
from optimum_ose.data.tables import table_of
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.optimizer.token_rows import rows_of
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.wording import listed

_MOST = 256
"""Rows that are used, evenly spaced."""
_LONGEST = 512
"""Tokens of a row."""


def read_calibration(path: Path, *, text_column: str | None = None, text_pair_column: str | None = None) -> Dataset:
    """The rows of a file as a data set with `text` and maybe `text_pair`, and its other columns but labels.

    Args:
        path: csv, tsv, json, jsonl, parquet or conll with columns; txt with one text a line.
        text_column: column of the text; None: text, sentence or another usual name, if there is one.
        text_pair_column: column of the second text of a pair.

    Raises:
        InvalidDataError: if the file cannot be read, or lacks a column that was named.
    """
    if path.suffix.lower() == ".txt":
        table = table_of({"text": read_lines(path)})
    elif path.is_file():
        table = read_file(path)
    else:
        raise InvalidDataError("Calibration rows (--calibration) must be a file", f"{path} is none", "Check the path")
    present = [str(name) for name in table.columns]
    named = {"text": text_column or first_of(TEXT_NAMES, present), "text_pair": text_pair_column}
    roles = {role: name for role, name in named.items() if name is not None}
    if missing := [name for name in roles.values() if name not in present]:
        raise InvalidDataError(
            f"{path} must have the columns that are named",
            f"it lacks {listed(missing)}; its columns are {listed(present, limit=20)}",
            "Name others (--text-column, --text-pair-column)",
        )
    others = {name: table[name] for name in present if name not in {*roles.values(), *roles, "label", "labels"}}
    columns = {role: table[name] for role, name in roles.items()} | others
    return Dataset.from_dict({name: list(values) for name, values in columns.items()})


def calibration_rows(source: Source, dataset: Dataset) -> Dataset:
    """Token rows of at most 256 rows.

    Raises:
        InvalidDataError: if the data set lacks a column of the task, or holds no rows.
    """
    plain = plain_dataset(dataset, "calibration_dataset", needs_labels=False)
    chosen = plain.select(range(0, len(plain), -(-len(plain) // _MOST)))
    settings = RowSettings(
        preprocessor=source.processor,
        max_length=min(source.max_length or _LONGEST, _LONGEST),
        model=source.model.config,
        is_labeled=source.task.has_labels,
        needs_labels=False,
    )
    return rows_of(source.task, chosen, settings)
