"""Reads local files and Hub data sets into tables, one per split."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

from optimum_ose.data.decoding import read_text, require_content, split_lines
from optimum_ose.data.delimited import parse_csv, parse_tsv, parse_without_header
from optimum_ose.data.json_rows import parse_json
from optimum_ose.data.labeled_lines import parse_labeled_lines, parse_tagged_words
from optimum_ose.data.tables import arrow_table, named_table
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed, one_line, shown

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev", "val", "eval"),
    "test": ("test",),
}
"""Split name -> names under which files and Hub splits present it."""
_PARSERS: Mapping[str, Callable[[str], pd.DataFrame]] = {
    ".csv": parse_csv,
    ".tsv": parse_tsv,
    ".json": parse_json,
    ".jsonl": parse_json,
    ".txt": parse_labeled_lines,
    ".conll": parse_tagged_words,
}
"""End of a file's name -> what makes a table of its text."""
_HEADED = (".csv", ".tsv")
SUFFIXES = (*_PARSERS, ".parquet")
_LOGGER = logging.getLogger(__name__)
_ON_DISK = ("dataset_dict.json", "state.json")
"""Files by which a folder of `save_to_disk` is known."""


def read_tables(
    source: str,
    *,
    split_names: Mapping[str, str | None] | None = None,
    subset: str | None = None,
    validation_name: str | None = None,
    has_header: bool = True,
) -> dict[str, pd.DataFrame]:
    """The splits of a data source, unchecked.

    Args:
        source: a file (csv, tsv, json, jsonl, parquet, txt, conll), a folder with train.* / validation.* / test.*
            files, a folder written by `datasets.save_to_disk`, or a Hub id.
        split_names: own names for "train", "validation", "test".
        subset: which of a Hub data set's several.
        validation_name: name of "validation" where `split_names` has none; of files it is looked for first.
        has_header: whether csv and tsv files begin with the names of their columns; else these are "1", "2", ...

    Returns:
        Split name -> table; a single file is all "train".

    Raises:
        InvalidDataError: if nothing can be read there.
    """
    wanted = {split: name for split, name in (split_names or {}).items() if name}
    path = Path(source)
    try:
        is_folder, is_file = bool(source) and path.is_dir(), path.is_file()
    except OSError as error:  # a name too long, or a folder that is closed to us
        raise InvalidDataError(
            "The data set (--dataset) must name a file, a folder or a Hub id",
            one_line(error, limit=300),
            "Check the path",
        ) from error
    if is_folder:
        if is_saved(path):
            return _chosen_splits(_load_from_disk(path), wanted, f"The data set {path}", validation_name)
        return _read_folder(path, wanted, validation_name, has_header=has_header)
    if is_file:
        if wanted:
            raise InvalidDataError(
                "Splits can be named only where there are several",
                f"{path} is one file; {listed(wanted.values())} was asked for",
                "Name a folder with a file for each split, or name no splits: they are then held out of the file",
            )
        return {"train": read_file(path, has_header=has_header)}
    if not source or path.suffix.lower() in SUFFIXES or path.is_absolute() or source.startswith("."):
        raise InvalidDataError(
            "The data set (--dataset) must name a file, a folder or a Hub id",
            f"{source} does not exist" if source else "it is empty",
            "Check the path",
        )
    return _chosen_splits(_load_from_hub(source, subset), wanted, f"The data set {source}", validation_name)


def read_split(source: str, names: Sequence[str], *, subset: str | None = None) -> pd.DataFrame | None:
    """One split of a data source, unchecked; a single file is the split.

    Args:
        source: as `read_tables` takes it.
        names: of the split, the first that is there; a name may be that of a file, without its ending.
        subset: which of a Hub data set's several.

    Returns:
        The table; None: there is no such split.

    Raises:
        InvalidDataError: if the source cannot be read.
    """
    path = Path(source)
    if path.is_file():
        return read_file(path)
    if path.is_dir() and not is_saved(path):
        files = {item.stem: item for item in sorted(path.iterdir()) if item.suffix.lower() in SUFFIXES}
        return next((read_file(files[name]) for name in names if name in files), None)
    loaded = _load_from_disk(path) if path.is_dir() else _load_from_hub(source, subset)
    return next((named_table(loaded[name]) for name in names if name in loaded and len(loaded[name])), None)


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` of datasets has written a folder."""
    return any((folder / name).is_file() for name in _ON_DISK)


def read_file(path: Path, *, has_header: bool = True) -> pd.DataFrame:
    """One local file as a table: see `decoding.read_text` for how text is encoded.

    Raises:
        InvalidDataError: if the file is empty, of an unknown kind, or malformed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidDataError(
            f"A data file must end in one of {', '.join(SUFFIXES)}", f"got {path.name}", "Convert or rename the file"
        )
    try:
        require_content(path)
        if suffix == ".parquet":
            table = arrow_table(pyarrow.parquet.ParquetFile(path).read())
        else:
            parse = _PARSERS[suffix] if has_header or suffix not in _HEADED else parse_without_header
            table = parse(read_text(path))
    except InvalidDataError:
        raise
    except (ValueError, KeyError, TypeError, OSError, pa.ArrowException) as error:
        raise InvalidDataError(
            f"{path} must be a well-formed {suffix[1:]} file",
            f"reading it failed: {one_line(error, limit=300)}",
            "Fix the file, or convert it",
        ) from error
    if table.empty:
        raise InvalidDataError(f"{path} must hold at least one row", "it holds none", "Give a file with data")
    return table


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, as text is read everywhere.

    Raises:
        InvalidDataError: if it cannot be read, or is no file of text alone.
    """
    if path.suffix.lower() in SUFFIXES and path.suffix.lower() != ".txt":
        raise InvalidDataError(
            "Unlabeled text must be a text file, one text a line",
            f"{path.name} is a file of columns",
            "Write its text column to a .txt file",
        )
    try:
        content = read_text(path)
    except (OSError, ValueError) as error:
        raise InvalidDataError(
            "Unlabeled text must be a text file, one text a line",
            f"reading {path} failed: {one_line(error, limit=300)}",
            "Check the path",
        ) from error
    return [line.strip() for line in split_lines(content) if line.strip()]


def _read_folder(
    folder: Path, wanted: Mapping[str, str], validation_name: str | None = None, *, has_header: bool = True
) -> dict[str, pd.DataFrame]:
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            files.setdefault(path.stem, []).append(path)
    tables = {}
    for split in SPLITS:
        candidates = names_of_split(split, wanted, validation_name)
        found = [path for name in candidates for path in files.get(name, ())]
        if found:
            tables[split] = read_file(_the_one(found, folder, split), has_header=has_header)
        elif split == "train" or split in wanted:
            raise InvalidDataError(
                f"The folder {folder} must hold a file {candidates[0]}.* ({', '.join(SUFFIXES)})",
                f"it holds {listed(path.name for path in sorted(folder.iterdir())) or 'nothing'}",
                "Add the file, or name the split (--train-split, --eval-split, --test-split)",
            )
    return tables


def _the_one(found: list[Path], folder: Path, split: str) -> Path:
    """The file of a split.

    Raises:
        InvalidDataError: if files of several kinds have its name.
    """
    first = found[0]
    if any(path.stem == first.stem for path in found[1:]):
        raise InvalidDataError(
            f"The folder {folder} must hold one file {first.stem}.*",
            f"it holds {listed(path.name for path in found)}",
            "Move the others away",
        )
    if len(found) > 1:
        _LOGGER.warning("%s is read for %s; not read: %s", first.name, split, listed(path.name for path in found[1:]))
    return first


def _load_from_disk(folder: Path) -> Mapping[str, Dataset]:
    try:
        loaded = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InvalidDataError(
            f"The folder {folder} must be one that `save_to_disk` of datasets has written",
            f"loading it failed: {one_line(error, limit=300)}",
            "Save the data set again",
        ) from error
    return dict(loaded) if isinstance(loaded, DatasetDict) else {"train": loaded}


def _load_from_hub(source: str, subset: str | None) -> Mapping[str, Dataset]:
    try:
        loaded = load_dataset(source, subset)
    except (OSError, ValueError, RuntimeError, ConnectionError) as error:
        raise InvalidDataError(
            "The data set (--dataset) must name a file, a folder or a Hub id",
            f"{shown(source)} is no local path, and the Hub did not give it: {one_line(error, limit=300)}",
            "Check the name, the network and HF_HUB_OFFLINE",
        ) from error
    return dict(loaded) if isinstance(loaded, DatasetDict) else {"train": loaded}


def names_of_split(split: str, wanted: Mapping[str, str | None], validation_name: str | None = None) -> tuple[str, ...]:
    """Names under which a split may be there, the likeliest first: its own, or the usual ones that no other split was
    given, for rows that steer must not judge.

    Args:
        split: "train", "validation" or "test".
        wanted: own names of the splits.
        validation_name: of "validation" where it has no own name.
    """
    if own := wanted.get(split):
        return (own,)
    first = (validation_name,) if split == "validation" and validation_name is not None else ()
    usual = dict.fromkeys((*first, *SPLITS[split]))
    return tuple(name for name in usual if split == "train" or name not in wanted.values())


def _chosen_splits(
    loaded: Mapping[str, Dataset], wanted: Mapping[str, str], source: str, validation_name: str | None = None
) -> dict[str, pd.DataFrame]:
    """The splits of a data set that came with all of them."""
    tables = {}
    for split in SPLITS:
        candidates = names_of_split(split, wanted, validation_name)
        found = [loaded[name] for name in candidates if name in loaded]
        if found and len(found[0]):
            tables[split] = named_table(found[0])
        elif found or split == "train" or split in wanted:
            raise InvalidDataError(
                f"{source} must have a split {candidates[0]} with rows",
                "that split is empty" if found else f"its splits are {listed(loaded)}",
                "Name the split (--train-split, --eval-split, --test-split)",
            )
    return tables
