"""Reads CSV and TSV: every field stays the text that it is."""

import csv
import io
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from optimum_ose.data.tables import UNTYPED, table_of
from optimum_ose.wording import listed, shown

_LOGGER = logging.getLogger(__name__)
_DELIMITERS: Mapping[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def parse_csv(text: str) -> pd.DataFrame:
    """Rows under a header, separated by commas; or by semicolons, tabs or bars where the header has no comma, which is
    logged. A quoted field may hold delimiters and line ends.

    Raises:
        ValueError: if a row has more or fewer fields than the header, or quotes do not fit.
    """
    text = _one_line_end(text)
    if text[:5].casefold().startswith("sep=") and text[5:6] in ("\n", "\r"):  # written by spreadsheets
        delimiter, text = text[4], text[5:].lstrip("\r\n")
    else:
        delimiter = _delimiter(text)
    if delimiter != ",":
        _LOGGER.warning("the fields are separated by %s", _DELIMITERS.get(delimiter, shown(delimiter)))
    return _parse(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL)


def parse_tsv(text: str) -> pd.DataFrame:
    """Rows under a header, separated by tabs; quotes are characters like others.

    Raises:
        ValueError: if a row has more or fewer fields than the header, or the header has no tab but other delimiters.
    """
    text = _one_line_end(text)
    header = text.partition("\n")[0]
    other = next((name for mark, name in _DELIMITERS.items() if mark in header), None) if "\t" not in header else None
    if other is not None:
        raise ValueError(f"the header has no tab, but {other}; if they separate the fields, name the file .csv")
    return _parse(text, delimiter="\t", quoting=csv.QUOTE_NONE)


def parse_without_header(text: str) -> pd.DataFrame:
    """Rows of a file without a header: columns are named "1", "2", and so on. Tabs separate them, and quotes are then
    characters like others; without a tab in the first line, what separates that line. Rows may differ in length.

    Raises:
        ValueError: if quotes do not fit.
    """
    text = _one_line_end(text)
    first = text.partition("\n")[0]
    delimiter = "\t" if "\t" in first else _delimiter(first)
    with _fields_of_any_length():
        try:
            quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
            rows = [row for row in _reader(text, delimiter, quoting) if row]
        except csv.Error as error:
            raise ValueError(_reason(error)) from error
    width = max(map(len, rows), default=0)
    filled = [[*row, *[None] * (width - len(row))] for row in rows]
    return table_of({str(number + 1): [row[number] for row in filled] for number in range(width)}, **{UNTYPED: True})


def _one_line_end(text: str) -> str:
    return text if "\n" in text else text.replace("\r", "\n")


def _delimiter(text: str) -> str:
    """What separates the fields of the header."""
    counts = {mark: _num_fields(text, mark) for mark in _DELIMITERS}
    return "," if counts[","] > 1 else max(counts, key=lambda mark: counts[mark])


def _num_fields(text: str, delimiter: str) -> int:
    try:
        return len(next(_reader(text, delimiter, csv.QUOTE_MINIMAL), []))
    except csv.Error:
        return 0


def _reader(text: str, delimiter: str, quoting: int) -> Any:
    """A reader of fields that knows no other line ends than LF and CR LF."""
    source = io.StringIO(text, newline="\n")
    return csv.reader(source, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]


def _parse(text: str, *, delimiter: str, quoting: int) -> pd.DataFrame:
    reader = _reader(text, delimiter, quoting)
    rows: list[list[str]] = []
    line = 0
    with _fields_of_any_length():
        try:
            for row in reader:
                if rows and row and len(row) != len(rows[0]):
                    raise ValueError(
                        f"line {line + 1} has {len(row)} fields separated by {_DELIMITERS.get(delimiter, delimiter)}, "
                        f"the header has {len(rows[0])}"
                    )
                if row:
                    rows.append(row)
                line = reader.line_num
        except csv.Error as error:
            raise ValueError(f"the row that begins in line {line + 1}: {_reason(error)}") from error
    header = _header(rows[0]) if rows else []
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(header)
    return table_of(dict(zip(header, columns, strict=True)), **{UNTYPED: True})


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip() or f"Unnamed: {number}" for number, cell in enumerate(cells)]
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise ValueError(f"the header names a column twice: {listed(repeated)}")
    return names


def _reason(error: csv.Error) -> str:
    reasons = {
        "expected after": "a quoted field goes on behind its closing quote; double quotes inside a field",
        "unexpected end of data": "a quote is opened and never closed",
        "new-line character": "a carriage return stands in a field without quotes",
    }
    return next((reason for start, reason in reasons.items() if start in str(error)), str(error))


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Lift the module's limit of 128 KiB for a field."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
