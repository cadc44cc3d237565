"""Streams the texts of files chunk by chunk, in memory that does not grow with the files."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet

from optimum_ose.data.columns import TEXT_NAMES
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import first_line, listed, shown

_CHUNK = 1_000_000
"""Characters of a chunk, at least."""
_LONGEST = 1_000_000
"""Characters of a line; what is longer is read in pieces."""
_LINES, _ROWS, _TABLES = (".txt",), (".jsonl", ".ndjson"), (".csv", ".tsv")
_PARQUET, _GZIP = ".parquet", ".gz"
SUFFIXES = (*_LINES, *_ROWS, *_TABLES, _PARQUET)
"""Of the files that are read; all but parquet may be gzipped (.gz)."""
_BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Files of texts: a line, or a row, is one text."""

    files: tuple[Path, ...]
    """Read in this order."""
    text_column: str | None = None
    """Of files with columns; None: the first usual name that is there, such as text or sentence."""

    def chunks(self) -> Iterator[list[str]]:
        """The texts that are not blank, about a million characters at a time.

        Raises:
            InvalidDataError: if a file cannot be read, is not UTF-8, or lacks the column.
        """
        return _chunked(text for path in self.files for text in self._texts(path) if text.strip())

    def _texts(self, path: Path) -> Iterator[str]:
        try:
            yield from _texts_of(path, self.text_column)
        except (OSError, EOFError, ValueError, csv.Error, pa.ArrowException, RecursionError) as error:
            if isinstance(error, InvalidDataError):
                raise
            raise InvalidDataError(
                f"{path} must be readable, as text in UTF-8 or as parquet",
                f"reading it failed: {first_line(error)}",
                "Convert the file, or leave it out of the corpus",
            ) from error


def find_corpus(sources: Sequence[str | Path], *, text_column: str | None = None) -> Corpus:
    """The corpus of files and folders.

    Args:
        sources: files that end in one of `SUFFIXES`, perhaps with .gz behind; of a folder, all such files in it.
        text_column: of files with columns.

    Raises:
        InvalidDataError: if one does not exist, or is of another kind.
    """
    files = tuple(file for source in sources for file in _files(Path(source)))
    if not files:
        raise InvalidDataError("A corpus must have at least one file", "got none", "Name files with text")
    return Corpus(files=files, text_column=text_column)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(item for item in path.iterdir() if item.is_file() and _kind(item) in SUFFIXES)
        if found:
            return found
        what = "the folder holds no such file"
    else:
        what = f"its name ends in {path.suffix!r}" if path.is_file() else "there is no such file or folder"
        if path.is_file() and _kind(path) in SUFFIXES and not (path.suffix == _GZIP and _kind(path) == _PARQUET):
            return [path]
    raise InvalidDataError(
        f"{path} must be a file that ends in {', '.join(SUFFIXES)} (or in .gz behind), or a folder of such files",
        what,
        "Check the path, or convert the file",
    )


def _kind(path: Path) -> str:
    """The end of a file's name, without .gz."""
    return Path(path.stem if path.suffix.lower() == _GZIP else path.name).suffix.lower()


def _texts_of(path: Path, column: str | None) -> Iterator[str]:
    kind = _kind(path)
    if kind == _PARQUET:
        yield from _parquet(path, column)
        return
    opener: Any = gzip.open if path.suffix.lower() == _GZIP else Path.open
    with opener(path, "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:
        if kind in _LINES:
            yield from _lines(stream)
        elif kind in _ROWS:
            yield from _json_rows(stream, path, column)
        else:
            yield from _table_rows(stream, path, column, delimiter="\t" if kind == ".tsv" else ",")


def _lines(stream: IO[str]) -> Iterator[str]:
    while line := stream.readline(_LONGEST):
        yield line.rstrip("\r\n")


def _json_rows(stream: IO[str], path: Path, wanted: str | None) -> Iterator[str]:
    column: str | None = None
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        row = json.loads(line)
        if isinstance(row, str):
            yield row
            continue
        if not isinstance(row, dict):
            raise InvalidDataError(
                f"Each line of {path} must hold a JSON object or text",
                f"line {number:,} holds a {type(row).__name__}",
                "Write one row a line",
            )
        column = column or _text_column(path, list(row), wanted)
        yield _text(row.get(column), path, column, number)


def _table_rows(stream: IO[str], path: Path, column: str | None, *, delimiter: str) -> Iterator[str]:
    rows = csv.reader(stream, delimiter=delimiter)
    header = next(rows, [])
    place = header.index(_text_column(path, header, column))
    for number, row in enumerate(rows, start=2):
        if row:
            yield _text(row[place] if place < len(row) else None, path, header[place], number)


def _parquet(path: Path, column: str | None) -> Iterator[str]:
    with pyarrow.parquet.ParquetFile(path) as content:
        name = _text_column(path, content.schema_arrow.names, column)
        for batch in content.iter_batches(batch_size=_BATCH_ROWS, columns=[name]):
            for value in batch.column(0).to_pylist():
                yield _text(value, path, name, None)


def _text(value: object, path: Path, column: str, number: int | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        where = f"in line {number:,} it is" if number else "it holds"
        raise InvalidDataError(
            f"The column {shown(column)} of {path} must hold text",
            f"{where} {shown(value)}",
            "Name another column (--text-column)",
        )
    return value


def _text_column(path: Path, present: Sequence[str], wanted: str | None = None) -> str:
    found = next((name for name in ((wanted,) if wanted else TEXT_NAMES) if name in present), None)
    if found is None and not wanted and len(present) == 1:
        found = present[0]
    if found is None:
        raise InvalidDataError(
            f"{path} must have a column {shown(wanted) if wanted else 'of text'}",
            f"it has {listed(present) or 'none'}",
            "Name the column that holds the text (--text-column)",
        )
    return found


def _chunked(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
