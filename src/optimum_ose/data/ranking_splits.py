"""Checked splits of queries with documents to rank; the documents of a query stay together."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from scipy.special import expit

from optimum_ose.data.columns import Columns
from optimum_ose.data.groups import GROUP
from optimum_ose.data.ranking_tables import (
    DOCUMENT,
    QUERY,
    RELEVANCE,
    is_collection,
    ranking_rows,
    read_collection,
)
from optimum_ose.data.reading import read_tables
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits, make_splits
from optimum_ose.data.targets import clean_label
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

_LOGGER = logging.getLogger(__name__)


def ranking_splits(request: DataRequest) -> Splits:
    """The splits of queries with documents: `text`, `text_pair`, `label` in [0, 1] and `group`, the query.

    Whole grades are divided by the highest; numbers below 0 are taken as logits, and become probabilities. Queries
    without a relevant document, and those with a single document, are left out and counted in the log. A missing
    validation or test split is a tenth of the queries of train.

    Raises:
        InvalidDataError: if the data cannot be read, or hold something else.
        InvalidConfigError: if a benchmark's task is named, which has classes.
    """
    if request.benchmark_task is not None:
        raise InvalidConfigError(
            "--benchmark-task names tasks with classes, choices or numbers of pairs",
            "the task is a ranking",
            "Leave --benchmark-task out, or --task",
        )
    tables = {split: _checked(table, split) for split, table in _read(request).items()}
    scaled = _scaled(tables)
    kept = {split: table for split, found in scaled.items() if len(table := _rankable(found, split))}
    if "train" not in kept:
        raise InvalidDataError(
            "A query must have several documents, one of them relevant",
            "no query of train has",
            "Check the documents and their relevance",
        )
    columns = Columns(text=QUERY, text_pair=DOCUMENT, label=RELEVANCE, group=GROUP, kind="number")
    return make_splits(kept, columns, seed=request.seed)


def _read(request: DataRequest) -> Mapping[str, pd.DataFrame]:
    folder = Path(request.source)
    if is_collection(folder):
        return read_collection(folder)
    tables = read_tables(request.source, split_names=request.split_names, subset=request.subset)
    chosen = request.columns
    return {
        split: ranking_rows(
            table, query=chosen.text, document=chosen.text_pair, relevance=chosen.label, seed=request.seed
        )
        for split, table in tables.items()
    }


def _checked(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows with numbers and groups; documents and queries that are no text are left out and counted."""
    is_text = table[[QUERY, DOCUMENT]].map(lambda value: isinstance(value, str) and bool(value.strip())).all(axis=1)
    if not is_text.all():
        _LOGGER.warning("%d rows of %s have no query or no document: left out", int((~is_text).sum()), split)
    kept = table[is_text].drop_duplicates([QUERY, DOCUMENT]).reset_index(drop=True)
    try:
        numbers = [clean_label(value, "number") for value in kept[RELEVANCE]]
    except ValueError as error:
        raise InvalidDataError(
            "The relevance of a document must be a number", f"a row of {split} has none", "Correct the file"
        ) from error
    return kept.assign(**{RELEVANCE: numbers, GROUP: kept[QUERY]})


def _scaled(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Relevance in [0, 1], in all splits alike."""
    lowest = min((table[RELEVANCE].min() for table in tables.values() if len(table)), default=0.0)
    highest = max((table[RELEVANCE].max() for table in tables.values() if len(table)), default=1.0)
    if lowest < 0:
        return {split: table.assign(**{RELEVANCE: expit(table[RELEVANCE])}) for split, table in tables.items()}
    return {split: table.assign(**{RELEVANCE: table[RELEVANCE] / max(highest, 1.0)}) for split, table in tables.items()}


def _rankable(table: pd.DataFrame, split: str) -> pd.DataFrame:
    by_query = table.groupby(GROUP, sort=False)[RELEVANCE]
    is_kept = (by_query.transform("max") > 0) & (by_query.transform("size") > 1)
    num_left_out = table[GROUP].nunique() - table[GROUP][is_kept].nunique()
    if num_left_out:
        _LOGGER.warning(
            "%d of %d queries of %s have no relevant document, or a single one: left out",
            num_left_out,
            table[GROUP].nunique(),
            split,
        )
    return table[is_kept].reset_index(drop=True)
