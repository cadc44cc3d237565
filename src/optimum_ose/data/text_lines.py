"""Reads plain text, one text a line, without holding it in memory."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from datasets import Dataset, Features, Value

from optimum_ose.data.reading import SPLITS, names_of_split
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed

_SUFFIX = ".txt"
_LOGGER = logging.getLogger(__name__)


def line_splits(source: str, split_names: Mapping[str, str | None]) -> dict[str, Dataset] | None:
    """The lines of a text file, or of a folder of text files alone, as rows of the column `text`, split -> rows; None
    of any other source. Files that are named as no split are all train.

    Raises:
        InvalidDataError: if a file holds no text, or is no text in UTF-8, or a named split is not there.
    """
    path = Path(source)
    if path.suffix.lower() == _SUFFIX and path.is_file():
        return {"train": _rows([path])}
    if not source or not path.is_dir():
        return None
    files = sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    texts = [item for item in files if item.suffix.lower() == _SUFFIX]
    if not texts or any(item.suffix.lower() in (".csv", ".tsv", ".json", ".jsonl", ".parquet") for item in files):
        return None
    found: dict[str, list[Path]] = {}
    for split in SPLITS:
        wanted = split_names.get(split)
        chosen = [item for item in texts if item.stem in names_of_split(split, split_names)]
        if wanted and not chosen:
            raise InvalidDataError(
                f"The folder {path} must hold a file {wanted}{_SUFFIX}",
                f"it holds {listed(item.name for item in texts)}",
                "Name another split",
            )
        if chosen:
            found[split] = chosen[:1]
    if "train" not in found:
        taken = {item for items in found.values() for item in items}
        found["train"] = [item for item in texts if item not in taken]
        _LOGGER.warning("all of these are train: %s", listed(item.name for item in found["train"]))
    return {split: _rows(paths) for split, paths in found.items()}


def _rows(paths: list[Path]) -> Dataset:
    """The lines that are not blank; they are kept on the disk by `datasets`, and read from there."""
    try:
        rows: Dataset = Dataset.from_generator(
            _lines,
            gen_kwargs={"paths": [str(path) for path in paths], "marks": [_mark(path) for path in paths]},
            features=Features({"text": Value("string")}),
        )
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UnicodeDecodeError):
            raise InvalidDataError(
                f"{listed(map(str, paths))} must be text in UTF-8", f"reading failed: {cause.reason}", "Convert it"
            ) from error
        if isinstance(cause, ValueError) or "empty" in str(error):
            raise _empty(paths) from error
        raise
    if not len(rows):
        raise _empty(paths)
    return rows


def _empty(paths: list[Path]) -> InvalidDataError:
    return InvalidDataError(
        f"{listed(map(str, paths))} must hold text, one a line", "it holds none", "Give a file with text"
    )


def _mark(path: Path) -> str:
    """What tells a changed file from the one that was read before."""
    state = path.stat()
    return f"{state.st_size}:{state.st_mtime_ns}"


def _lines(paths: list[str], marks: list[str]) -> Iterator[dict[str, str]]:
    del marks  # only there so that a changed file is read anew
    for path in paths:
        with Path(path).open(encoding="utf-8-sig", newline="\n") as stream:
            for line in stream:
                if text := line.strip():
                    yield {"text": text}
