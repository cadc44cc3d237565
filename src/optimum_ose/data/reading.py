"""Reads local files and Hub data sets into tables, one per split."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from datasets import Dataset, DatasetDict, load_dataset

from optimum_ose.exceptions import InvalidDataError

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev", "val", "eval"),
    "test": ("test",),
}
"""Split name -> names under which files and Hub splits present it."""
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt", ".conll")
_LOGGER = logging.getLogger(__name__)


def read_tables(
    source: str,
    *,
    split_names: Mapping[str, str | None] | None = None,
    subset: str | None = None,
    validation_name: str | None = None,
) -> dict[str, pd.DataFrame]:
    """The splits of a data source, unchecked.

    Args:
        source: a file (csv, tsv, json, jsonl, parquet, txt, conll), a folder with train.* / validation.* / test.*
            files, or a Hub id.
        split_names: own names for "train", "validation", "test".
        subset: which of a Hub data set's several.
        validation_name: a Hub split's name for "validation", where `split_names` has none.

    Returns:
        Split name -> table; a single file is all "train".

    Raises:
        InvalidDataError: if nothing can be read there.
    """
    wanted = {split: name for split, name in (split_names or {}).items() if name}
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, wanted)
    if path.is_file():
        return {"train": read_file(path)}
    if path.suffix in SUFFIXES or path.is_absolute() or source.startswith("."):
        raise InvalidDataError(
            "--dataset must name a file, a folder or a Hub id", f"{source} does not exist", "Check the path"
        )
    return _read_hub(source, wanted if validation_name is None else {"validation": validation_name, **wanted}, subset)


def read_file(path: Path) -> pd.DataFrame:
    """One local file as a table. Text is UTF-8, or Latin-1 where it is not valid UTF-8.

    Raises:
        InvalidDataError: if the file is empty, of an unknown kind, or malformed.
    """
    if path.suffix not in SUFFIXES:
        raise InvalidDataError(
            f"A data file must end in one of {', '.join(SUFFIXES)}", f"got {path.name}", "Convert or rename the file"
        )
    if path.stat().st_size == 0:
        raise InvalidDataError(f"{path} must hold at least one row", "it is empty", "Give a file with data")
    try:
        table = _parse(path)
    except (ValueError, csv.Error, pd.errors.ParserError, OSError) as error:
        raise InvalidDataError(
            f"{path} must be a well-formed {path.suffix[1:]} file", f"reading it failed: {error}", "Mend the file"
        ) from error
    if table.empty:
        raise InvalidDataError(f"{path} must hold at least one row", "it holds none", "Give a file with data")
    return table


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, UTF-8, or Latin-1 where it is not valid UTF-8.

    Raises:
        InvalidDataError: if it cannot be read.
    """
    try:
        content = path.read_text(encoding=_encoding(path))
    except OSError as error:
        raise InvalidDataError(
            "Unlabeled text must be a text file, one text a line", f"reading {path} failed: {error}", "Check the path"
        ) from error
    return [line.strip() for line in content.split("\n") if line.strip()]


def _parse(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    encoding = _encoding(path)
    if path.suffix in (".csv", ".tsv"):
        # Words such as "None" and "NA" are text here; tab-separated benchmarks do not quote.
        dialect = {"sep": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".tsv" else {}
        return pd.read_csv(path, encoding=encoding, keep_default_na=False, na_values=[""], low_memory=False, **dialect)
    if path.suffix == ".txt":
        return _parse_labeled_lines(path.read_text(encoding=encoding))
    if path.suffix == ".conll":
        return _parse_tagged_words(path.read_text(encoding=encoding))
    lines = path.suffix == ".jsonl" or not path.read_text(encoding=encoding).lstrip().startswith("[")
    return pd.read_json(path, lines=lines, encoding=encoding, dtype=False)


def _parse_labeled_lines(content: str) -> pd.DataFrame:
    """`label text` lines, as in TREC ("coarse:fine text") and fastText ("__label__x text")."""
    pairs = [line.split(maxsplit=1) for line in content.splitlines() if line.strip()]
    short = next((number for number, pair in enumerate(pairs, start=1) if len(pair) < 2), None)
    if short is not None:
        raise ValueError(f"line {short} is not `label text`")
    table = pd.DataFrame(pairs, columns=["fine_label", "text"])
    table["fine_label"] = table["fine_label"].str.removeprefix("__label__")
    table["label"] = table["fine_label"].str.split(":").str[0]
    return table


def _parse_tagged_words(content: str) -> pd.DataFrame:
    """One word a line, its tag last, columns parted by spaces or tabs; a blank line ends a sentence."""
    sentences: list[list[list[str]]] = [[]]
    for number, line in enumerate(content.splitlines(), start=1):
        parts = line.split()
        if len(parts) == 1:
            raise ValueError(f"line {number} is not `word tag`")
        if parts and parts[0] != "-DOCSTART-":
            sentences[-1].append(parts)
        elif sentences[-1]:
            sentences.append([])
    kept = [sentence for sentence in sentences if sentence]
    return pd.DataFrame(
        {
            "tokens": [[parts[0] for parts in sentence] for sentence in kept],
            "tags": [[parts[-1] for parts in sentence] for sentence in kept],
        }
    )


def _encoding(path: Path) -> str:
    try:
        path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        _LOGGER.warning("%s is not UTF-8; read as Latin-1", path)
        return "latin-1"
    return "utf-8-sig"


def _read_folder(folder: Path, wanted: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}
    tables = {}
    for split, names in SPLITS.items():
        candidates = (wanted[split],) if split in wanted else names
        found = [files[name] for name in candidates if name in files]
        if found:
            tables[split] = read_file(found[0])
        elif split == "train" or split in wanted:
            raise InvalidDataError(
                f"The folder {folder} must hold a file {candidates[0]}.* ({', '.join(SUFFIXES)})",
                f"it holds {', '.join(path.name for path in sorted(folder.iterdir())[:8]) or 'nothing'}",
                "Add the file, or name the split with --train-split, --eval-split or --test-split",
            )
    return tables


def _read_hub(source: str, wanted: Mapping[str, str], subset: str | None) -> dict[str, pd.DataFrame]:
    try:
        loaded = load_dataset(source, subset)
    except (OSError, ValueError, ConnectionError) as error:
        raise InvalidDataError(
            "--dataset must name a file, a folder or a Hub id",
            f"{source!r} is no local path, and the Hub did not give it: {error}",
            "Check the name, the network and HF_HUB_OFFLINE",
        ) from error
    splits: dict[str, Dataset] = dict(loaded) if isinstance(loaded, DatasetDict) else {"train": loaded}
    tables = {}
    for split, names in SPLITS.items():
        candidates = (wanted[split],) if split in wanted else names
        found = [splits[name] for name in candidates if name in splits]
        if found:
            tables[split] = _named_labels(found[0])
        elif split == "train" or split in wanted:
            raise InvalidDataError(
                f"The data set {source} must have a split {candidates[0]}",
                f"it has {', '.join(splits)}",
                "Name the split with --train-split, --eval-split or --test-split",
            )
    return tables


def _named_labels(rows: Dataset) -> pd.DataFrame:
    """A Hub split as a table, with class numbers replaced by their names."""
    table = rows.to_pandas()
    for name, feature in rows.features.items():
        inner = getattr(feature, "feature", None)
        if hasattr(feature, "int2str"):
            table[name] = [feature.int2str(int(value)) if value >= 0 else None for value in table[name]]
        elif inner is not None and hasattr(inner, "int2str"):
            table[name] = [[inner.int2str(int(value)) for value in values] for values in table[name]]
    return table
