"""Makes the three splits of a task that needs no labels: of plain text, pairs, triplets, or a document collection."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Dataset, Features, Value

from optimum_ose.data.columns import Columns, check_texts
from optimum_ose.data.overlaps import text_keys, told_overlaps
from optimum_ose.data.reading import read_tables
from optimum_ose.data.sentences import TEXTS, read_collection
from optimum_ose.data.splits import HELD_OUT_SHARE, Splits
from optimum_ose.data.targets import is_missing
from optimum_ose.data.text_lines import line_splits
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed, shown

MOST_HELD_OUT = 1000
"""Rows that are held out of train at most, for each split."""
_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "sentence1", "anchor", "query", "question", "question1", "premise", "sentence_A"),
    "text_pair": ("text_pair", "sentence2", "positive", "answer", "question2", "hypothesis", "sentence_B", "document"),
    "text_negative": ("text_negative", "negative"),
    "label": ("score", "similarity_score", "similarity", "label"),
}
"""Role -> usual names of its column."""
_LOGGER = logging.getLogger(__name__)


def make_text_splits(
    source: str,
    columns: Columns,
    *,
    split_names: Mapping[str, str | None],
    subset: str | None = None,
    seed: int,
    takes_pairs: bool,
) -> Splits:
    """Read a source of texts and make three splits of it; what is missing is held out of train.

    Args:
        source: a text file, one text a line; a folder of such files; a folder with `corpus.*`, `queries.*` and
            `qrels.*`, where pairs are taken; or any file, folder or Hub id of `read_tables`.
        columns: which columns hold what, of files with columns; numbers, from 1, of files without a header.
        split_names: own names of the splits.
        subset: which of a Hub data set's several configurations.
        seed: of what is held out.
        takes_pairs: whether texts are compared: then partners, scores of pairs and collections are read.

    Raises:
        InvalidDataError: if there is no text, or too little of it.
    """
    if takes_pairs and (collection := read_collection(Path(source), seed=seed)) is not None:
        return _splits(collection, [])
    lines = line_splits(source, split_names)
    notes: list[str] = []
    if lines is None:
        has_header = not _are_numbers((columns.text, columns.text_pair, columns.label))
        tables = read_tables(source, split_names=split_names, subset=subset, has_header=has_header)
        chosen = _chosen(tables, columns, takes_pairs=takes_pairs)
        _LOGGER.warning("read as %s", ", ".join(f"{role}: column {shown(name)}" for role, name in chosen.items()))
        lines = {split: _dataset(_checked(table, chosen, split)) for split, table in tables.items()}
    return _splits(_completed(lines, seed, notes), notes)


def _are_numbers(names: Sequence[str | None]) -> bool:
    """Whether columns are named by their numbers, for a file has no header."""
    named = [name for name in names if name is not None]
    return bool(named) and all(name.isdecimal() for name in named)


def _splits(rows: Mapping[str, Dataset], notes: list[str]) -> Splits:
    for note in notes:
        _LOGGER.warning("%s", note)
    return Splits(
        train=rows["train"],
        validation=rows["validation"],
        test=rows["test"],
        label_names=(),
        kind="number",
        warnings=tuple(notes),
    )


def _chosen(tables: Mapping[str, pd.DataFrame], columns: Columns, *, takes_pairs: bool) -> dict[str, str]:
    present = list(tables["train"].columns)
    named = {"text": columns.text, "text_pair": columns.text_pair, "label": columns.label}
    found: dict[str, str] = {}
    for role, names in _NAMES.items():
        wanted = named.get(role)
        if wanted is not None and wanted not in present:
            raise InvalidDataError(
                f"The data must have a column {shown(wanted)}",
                f"its columns are {listed(present, limit=20)}",
                "Name another one (--text-column, --text-pair-column, --label-column)",
            )
        usual = next((name for name in names if name in present and name not in found.values()), None)
        if (name := wanted or usual) is not None and (takes_pairs or role == "text"):
            found[role] = name
    if "text" not in found:
        raise InvalidDataError(
            "The data must have a text column",
            f"its columns are {listed(present, limit=20)}",
            "Name the right one (--text-column)",
        )
    if "text_pair" not in found:
        found.pop("label", None)
    return found


def _checked(table: pd.DataFrame, chosen: Mapping[str, str], split: str) -> pd.DataFrame:
    """The chosen columns under their roles.

    Raises:
        InvalidDataError: if a row lacks a text, or its score is no number.
    """
    missing = [name for name in chosen.values() if name not in table.columns]
    if missing:
        raise InvalidDataError(
            f"Every split must have the columns {listed(chosen.values())}",
            f"{split} lacks {listed(missing)}",
            "Give all splits the same columns",
        )
    found = pd.DataFrame({role: table[name].to_list() for role, name in chosen.items()}, dtype=object)
    for role in found.columns:
        if role in TEXTS:
            check_texts(found[role], role=role, name=chosen[role], split=split)
    if "label" in found:
        numbers = pd.to_numeric(found["label"], errors="coerce").astype(float)
        wrong = [row for row, value in enumerate(numbers) if is_missing(value) or not np.isfinite(value)]
        if wrong:
            raise InvalidDataError(
                f"Column {shown(chosen['label'])} must hold the score of each pair, a number",
                f"{len(wrong)} rows of {split} hold none; the first is row {wrong[0]}: "
                f"{shown(found['label'].iloc[wrong[0]])}",
                "Remove those rows, or name the right column (--label-column)",
            )
        found["label"] = numbers
    return found


def _dataset(table: pd.DataFrame) -> Dataset:
    kinds = {name: Value("float64") if name == "label" else Value("string") for name in table.columns}
    return Dataset.from_dict({name: table[name].to_list() for name in table.columns}, features=Features(kinds))


def _completed(rows: dict[str, Dataset], seed: int, notes: list[str]) -> dict[str, Dataset]:
    """All three splits; texts of validation and test do not stand in train."""
    for split in ("test", "validation"):
        if split in rows:
            continue
        count = min(max(round(len(rows["train"]) * HELD_OUT_SHARE), 1), MOST_HELD_OUT)
        if len(rows["train"]) < 3:
            raise InvalidDataError(
                "A split can be held out of train only if there are three rows",
                f"there are {len(rows['train'])}",
                "Give more text, or the split as a file",
            )
        notes.append(f"no {split} split: {count:,} of {len(rows['train']):,} rows of train are held out (seed {seed})")
        chosen = np.random.default_rng(seed).permutation(len(rows["train"]))[:count]
        rows[split] = rows["train"].select(np.sort(chosen))
        rows["train"] = rows["train"].select(np.setdiff1d(np.arange(len(rows["train"])), chosen))
    held_out = {key for split in ("validation", "test") for key in text_keys(_frame(rows[split]))}
    kept = _without(rows["train"], held_out)
    if len(kept) < len(rows["train"]):
        notes.append(
            f"{len(rows['train']) - len(kept):,} rows of train also stand in validation or test and were removed"
        )
    if not len(kept):
        raise InvalidDataError(
            "Train must hold a text that stands neither in validation nor in test", "it holds none", "Give more text"
        )
    notes += told_overlaps({split: rows[split] for split in ("validation", "test")})
    return {**rows, "train": kept}


def _frame(rows: Dataset) -> pd.DataFrame:
    names = [name for name in TEXTS[:2] if name in rows.column_names]
    return pd.DataFrame({name: pd.Series(rows[name][:], dtype=object) for name in names})


def _without(rows: Dataset, keys: set[str]) -> Dataset:
    """The rows whose texts are none of these; read in parts."""
    kept: list[int] = []
    step = 10_000
    for start in range(0, len(rows), step):
        part = text_keys(_frame(rows.select(range(start, min(start + step, len(rows))))))
        kept += [start + place for place, is_known in enumerate(part.isin(keys)) if not is_known]
    return rows if len(kept) == len(rows) else rows.select(kept)
