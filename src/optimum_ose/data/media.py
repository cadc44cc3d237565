"""The splits of data sets of images or sounds: files in folders, or columns of paths or bytes in any table."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import pandas as pd
from datasets import Dataset

from optimum_ose.data.media_folder import holds_media, read_media_folder
from optimum_ose.data.reading import is_saved, read_tables
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits, make_splits
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed, one_line, shown

_LOGGER = logging.getLogger(__name__)
KEY, FILE = "content", "file"
"""Columns of readable tables: the digest of a file's content, and its path or bytes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """A kind of file that rows hold."""

    name: str
    """In messages, and the column of the rows."""
    usual_columns: tuple[str, ...]
    """Names of its column in tables, the likeliest first."""
    suffixes: tuple[str, ...]
    """Endings of its files, in lower case."""
    check: Callable[[bytes], None]
    """Refuses the content of a file that is none, by a ValueError or OSError."""
    features: Callable[[Dataset], Dataset]
    """Gives the column of rows, mappings of `bytes` and `path`, its feature."""


def media_splits(request: DataRequest, medium: Medium) -> Splits:
    """The splits of a data set of files with a label each; those that cannot be read are left out, and counted.

    Raises:
        InvalidDataError: if it cannot be read, or holds something else.
    """
    kept = readable_tables(request, medium)
    splits = make_splits(kept, replace(request.columns, text=KEY, text_pair=None), seed=request.seed)
    content = {key: file for table in kept.values() for key, file in zip(table[KEY], table[FILE], strict=True)}
    made = {
        name: with_files(rows.remove_columns("text"), [content[key] for key in rows["text"]], medium)
        for name in ("train", "validation", "test")
        for rows in [getattr(splits, name)]
    }
    return replace(splits, **made)


def readable_tables(request: DataRequest, medium: Medium) -> dict[str, pd.DataFrame]:
    """The splits of a data set of files, without those that cannot be read: the digest of each file's content, by
    which equal files are found, its path or bytes, and all other columns.

    Raises:
        InvalidDataError: if it cannot be read, or a split has no file that can.
    """
    if request.benchmark_task is not None:
        raise InvalidDataError(
            "A benchmark task has texts", f"the task reads {medium.name} files", "Leave --benchmark-task out"
        )
    tables, column = _tables(request, medium)
    return {split: _readable(table, column, medium, split, request.source) for split, table in tables.items()}


def _tables(request: DataRequest, medium: Medium) -> tuple[dict[str, pd.DataFrame], str]:
    path = Path(request.source)
    wanted = {split: name for split, name in request.split_names.items() if name}
    if path.is_dir() and not is_saved(path) and holds_media(path, medium.suffixes):
        return read_media_folder(path, medium.name, medium.suffixes, wanted), medium.name
    tables = read_tables(request.source, split_names=request.split_names, subset=request.subset)
    present = list(tables["train"].columns)
    column = request.columns.text or next((name for name in medium.usual_columns if name in present), None)
    if column is None or column not in present:
        raise InvalidDataError(
            f"The data must have a column of {medium.name} files, or be a folder of them",
            f"its columns are {listed(present, limit=20)}",
            "Name the right one (--text-column)",
        )
    base = path if path.is_dir() else path.parent
    for table in tables.values():
        if column in table:
            table[column] = pd.Series([_located(value, base) for value in table[column]], dtype=object)
    return tables, column


def _located(value: Any, base: Path) -> Any:
    """A path as seen from the folder of its table."""
    return str(base / value) if isinstance(value, str) else value


def _readable(table: pd.DataFrame, column: str, medium: Medium, split: str, source: str) -> pd.DataFrame:
    """The rows whose file can be read.

    Raises:
        InvalidDataError: if none can, with the first reason.
    """
    keys: list[str | None] = []
    reasons: list[str] = []
    for value in table[column] if column in table else [None] * len(table):
        try:
            content = content_of(value)
            medium.check(content)
            keys.append(hashlib.sha256(content).hexdigest())
        except (OSError, ValueError) as error:
            keys.append(None)
            reasons.append(f"{shown(_place(value))}: {one_line(error, limit=200)}")
    kept = pd.Series(keys, dtype=object).notna().to_numpy()
    if not kept.any():
        raise InvalidDataError(
            f"The {split} split of {source} must hold {medium.name} files that can be read",
            f"none of {len(table)} can; the first is {reasons[0]}",
            "Check the files",
        )
    if reasons:
        _LOGGER.warning(
            "%d of %d rows of %s are left out: their %s cannot be read; the first is %s",
            len(reasons),
            len(table),
            split,
            medium.name,
            reasons[0],
        )
    named = table.drop(columns=[column]).assign(**{KEY: keys, FILE: pd.Series(table[column].to_list(), dtype=object)})
    found = named[kept].reset_index(drop=True)
    found.attrs.update(table.attrs)
    return found


def content_of(value: Any) -> bytes:
    """The content of a file.

    Args:
        value: its path, or a mapping of `bytes` or `path`, as the features of datasets hold it.

    Raises:
        ValueError: if it is neither.
        OSError: if it cannot be read.
    """
    found = value.get("bytes") or value.get("path") if isinstance(value, Mapping) else value
    if isinstance(found, bytes):
        return found
    if not isinstance(found, str) or not found:
        raise ValueError("neither a path nor the content of a file")
    return Path(found).read_bytes()


def _place(value: Any) -> Any:
    return value.get("path") if isinstance(value, Mapping) else value


def with_files(rows: Dataset, files: Sequence[Any], medium: Medium) -> Dataset:
    """Rows with a column of files: paths or bytes as `FILE` holds them."""
    return medium.features(rows.add_column(medium.name, [_mapping(file) for file in files]))


def _mapping(file: Any) -> dict[str, Any]:
    found = file if isinstance(file, Mapping) else {"path": file}
    return {"bytes": found.get("bytes"), "path": found.get("path")}
