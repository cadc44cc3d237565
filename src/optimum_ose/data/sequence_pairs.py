"""Data sets of texts with what is to be written of them: translations, summaries, answers."""

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
from datasets import Dataset, Features, Value

from optimum_ose.data.columns import first_of
from optimum_ose.data.overlaps import text_keys, told_overlaps
from optimum_ose.data.reading import read_tables
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import HELD_OUT_SHARE, Splits
from optimum_ose.data.targets import is_text
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.wording import listed, shown

SOURCE, TARGET = "text", "target"
"""Columns of what is read and of what is to be written."""
_SOURCES = (
    SOURCE,
    "source",
    "document",
    "article",
    "dialogue",
    "input",
    "inputs",
    "source_text",
    "question",
    "sentence",
)
_TARGETS = (
    TARGET,
    "summary",
    "highlights",
    "output",
    "targets",
    "target_text",
    "answer",
    "response",
    "label",
    "labels",
)
_LOGGER = logging.getLogger(__name__)
Tables = dict[str, pd.DataFrame]


def pair_splits(request: DataRequest) -> Splits:
    """Splits with the columns `text` and `target`.

    Rows without either are left out and counted. Rows of train whose text also stands in another split are removed.

    Raises:
        InvalidConfigError: if a benchmark or a problem type is asked for.
        InvalidDataError: if there are no such columns, or no row has both.
    """
    named = {"--benchmark-task": request.benchmark_task, "--problem-type": request.columns.problem_type}
    if given := [f"{option} {value}" for option, value in named.items() if value is not None]:
        raise InvalidConfigError(
            "Benchmarks and problem types are of tasks with classes or numbers",
            f"got {listed(given)}",
            "Leave them out",
        )
    tables = read_tables(request.source, split_names=request.split_names, subset=request.subset)
    notes: list[str] = []
    found = {split: _pairs(table, request, split, notes) for split, table in tables.items()}
    for split in ("test", "validation"):
        if split not in found:
            _hold_out(found, split, request.seed, notes)
    _remove_leaks(found, notes)
    notes += told_overlaps({split: found[split] for split in ("validation", "test")})
    for note in notes:
        _LOGGER.warning("%s", note)
    made = {split: _dataset(table) for split, table in found.items()}
    return Splits(**made, label_names=(), kind="spans", warnings=tuple(notes))


def _pairs(table: pd.DataFrame, request: DataRequest, split: str, notes: list[str]) -> pd.DataFrame:
    table = _with_languages(table, request)
    present = [str(name) for name in table.columns]
    chosen = {
        SOURCE: request.columns.text or first_of(_SOURCES, present),
        TARGET: request.columns.label or first_of(_TARGETS, present),
    }
    for role, name in chosen.items():
        if name is None or name not in present:
            option = "--source-column" if role == SOURCE else "--target-column"
            what = "what is read" if role == SOURCE else "what is to be written"
            raise InvalidDataError(
                f"The data must have a column of {what}" + (f" named {shown(name)}" if name else ""),
                f"{split} has the columns {listed(present, limit=20)}",
                f"Name the right one ({option})",
            )
    if chosen[SOURCE] == chosen[TARGET]:
        raise InvalidDataError(
            "What is read and what is to be written must stand in columns of their own",
            f"both are {shown(chosen[SOURCE])}",
            "Name other columns (--source-column, --target-column)",
        )
    pairs = pd.DataFrame({role: table[name].to_list() for role, name in chosen.items()}, dtype=object)
    kept = pairs[pairs[SOURCE].map(is_text) & pairs[TARGET].map(is_text)].reset_index(drop=True)
    if kept.empty:
        raise InvalidDataError(
            f"Columns {listed(map(shown, chosen.values()))} must hold texts",
            f"no row of {split} has one in both",
            "Name the right ones (--source-column, --target-column)",
        )
    if len(kept) < len(pairs):
        notes.append(
            f"{len(pairs) - len(kept):,} of {len(pairs):,} rows of {split} are left out: "
            f"{shown(chosen[SOURCE])} or {shown(chosen[TARGET])} is empty"
        )
    return kept


def _with_languages(table: pd.DataFrame, request: DataRequest) -> pd.DataFrame:
    """The table; or, where the named columns are languages of a column of mappings from languages to texts, as
    translations on the Hub have it, a table with a column for each language.
    """
    named = [name for name in (request.columns.text, request.columns.label) if name is not None]
    for name in table.columns if len(named) == 2 and not set(named) <= set(table.columns) else ():
        items = table[name]
        if items.map(lambda item: isinstance(item, Mapping) and set(named) <= item.keys()).all():
            return pd.DataFrame({language: [item[language] for item in items] for language in named}, dtype=object)
    return table


def _hold_out(tables: Tables, split: str, seed: int, notes: list[str]) -> None:
    train = tables["train"]
    if len(train) < 3:
        raise InvalidDataError(
            "A split can be held out of train only if it has three rows", f"it has {len(train)}", "Give more rows"
        )
    count = max(round(len(train) * HELD_OUT_SHARE), 1)
    notes.append(f"no {split} split: {count:,} of {len(train):,} rows of train are held out (seed {seed})")
    chosen = np.zeros(len(train), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(train))[:count]] = True
    tables[split] = train[chosen].reset_index(drop=True)
    tables["train"] = train[~chosen].reset_index(drop=True)


def _remove_leaks(tables: Tables, notes: list[str]) -> None:
    keys = {split: text_keys(table[[SOURCE]]) for split, table in tables.items()}
    leaked = keys["train"].isin({*keys["validation"], *keys["test"]})
    if leaked.all():
        raise InvalidDataError(
            "Train must hold a text that stands neither in validation nor in test", "it holds none", "Give more rows"
        )
    if leaked.any():
        notes.append(f"{int(leaked.sum()):,} rows of train also stand in validation or test and were removed")
        tables["train"] = tables["train"][~leaked].reset_index(drop=True)


def _dataset(table: pd.DataFrame) -> Dataset:
    kinds = Features({SOURCE: Value("string"), TARGET: Value("string")})
    return Dataset.from_dict({name: table[name].to_list() for name in kinds}, features=kinds)
