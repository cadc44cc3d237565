"""Reads JSON: a list of objects, or one object a line."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from optimum_ose.data.decoding import split_lines
from optimum_ose.data.squad import is_squad, squad_table
from optimum_ose.data.tables import table_of
from optimum_ose.wording import reading_fault, shown

_Record = dict[str, Any]


def parse_json(text: str) -> pd.DataFrame:
    """Objects as rows; what an object lacks is None. A file of SQuAD's form has a row for each question.

    Text, numbers and names stay what the file says: nothing is made a date, and whole numbers keep every digit.

    Raises:
        ValueError: if it is no JSON, its rows are no objects, an object holds a name twice, or the file holds one
            object of whole columns.
    """
    records = _array(text) if text.lstrip()[:1] == "[" else _lines(text)
    if len(records) == 1 and is_squad(records[0]):
        return squad_table(records[0])
    _require_rows(records)
    names = list(dict.fromkeys(name for record in records for name in record))
    return table_of({name: [record.get(name) for record in records] for name in names})


def _array(text: str) -> list[_Record]:
    records: list[_Record] = _loads(text)
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise ValueError(f"row {number} is no object: {shown(record)}")
    return records


def _lines(text: str) -> list[_Record]:
    records: list[_Record] = []
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip():
            continue
        try:
            record = _loads(line)
        except ValueError as error:
            if not records and (whole := _whole_object(text)) is not None:
                return [whole]
            raise ValueError(f"line {number}: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"line {number} is no object: {shown(record)}")
        records.append(record)
    return records


def _whole_object(text: str) -> _Record | None:
    """The one object that a file holds over several lines."""
    try:
        found = _loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _loads(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(reading_fault(error)) from error


def _unique(pairs: Sequence[tuple[str, Any]]) -> _Record:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object holds {shown(next(name for name in names if names.count(name) > 1))} twice")
    return record


def _require_rows(records: Sequence[_Record]) -> None:
    """A file that holds one object of equally long columns is a table lying on its side, not a row."""
    if len(records) != 1 or {"tokens", "words"} & set(records[0]):
        return
    sizes = {len(value) if isinstance(value, list | dict) else 0 for value in records[0].values()}
    if len(sizes) == 1 and sizes.pop() > 1:
        raise ValueError(
            f"it holds one object of whole columns; write an object for each row, as in "
            f'[{{"{next(iter(records[0]))}": ...}}, ...] (pandas: to_json(orient="records"))'
        )
