"""Folders of images or sounds, as `imagefolder` and `audiofolder` of datasets have them: split/class/file, class/file,
or files beside a metadata.csv, metadata.jsonl or metadata.parquet that names them in the column `file_name`.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from optimum_ose.data.reading import SPLITS, names_of_split, read_file
from optimum_ose.data.tables import table_of
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_FILE_NAME = "file_name"
LABEL = "label"
"""Column of the classes that folders are named after."""


def holds_media(folder: Path, suffixes: Collection[str]) -> bool:
    """Whether a file with one of these endings lies in a folder, or in one of its folders."""
    return any(path.suffix.lower() in suffixes for path in folder.rglob("*") if path.is_file())


def read_media_folder(
    folder: Path, column: str, suffixes: Collection[str], split_names: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """The splits of a folder as tables of `column`, which holds paths, and `label`, or the columns of the metadata.

    Args:
        folder: that is read.
        column: of the paths.
        suffixes: endings of the files.
        split_names: own names for "train", "validation", "test".

    Raises:
        InvalidDataError: if there is no training split, or files lie beside the folders of classes.
    """
    splits = {}
    for split in SPLITS:
        names = names_of_split(split, split_names)
        found = next((folder / name for name in names if (folder / name).is_dir()), None)
        if found is not None:
            splits[split] = found
    missing = [name for split, name in split_names.items() if split not in splits]
    if missing or (splits and "train" not in splits):
        raise InvalidDataError(
            f"The folder {folder} must hold a folder for each split: {listed(missing or ['train'])}",
            f"it holds {listed(path.name for path in sorted(folder.iterdir()))}",
            "Name the split (--train-split, --eval-split, --test-split)",
        )
    return {split: _table(path, column, suffixes) for split, path in (splits or {"train": folder}).items()}


def _table(folder: Path, column: str, suffixes: Collection[str]) -> pd.DataFrame:
    metadata = [folder / name for name in _METADATA if (folder / name).is_file()]
    if metadata:
        return _described(metadata[0], column)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    beside = [path.name for path in paths if path.parent == folder]
    if beside or not paths:
        raise InvalidDataError(
            f"The folder {folder} must hold a folder for each class with its {column} files, or a metadata.csv",
            f"it holds {listed(beside)} beside them" if beside else f"it holds no {column} file ({listed(suffixes)})",
            f"Give each class a folder, or a metadata.csv with the columns {_FILE_NAME} and label",
        )
    labels = [path.relative_to(folder).parts[0] for path in paths]
    return table_of({column: [str(path) for path in paths], LABEL: labels})


def _described(metadata: Path, column: str) -> pd.DataFrame:
    table = read_file(metadata)
    if _FILE_NAME not in table.columns:
        raise InvalidDataError(
            f"{metadata} must have the column {_FILE_NAME}", f"it has {listed(table.columns)}", "Rename its column"
        )
    paths = [str(metadata.parent / str(name)) for name in table.pop(_FILE_NAME)]
    table.insert(0, column, pd.Series(paths, dtype=object))
    return table
