"""What data were asked for, and the splits of texts that answer it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import final

import pandas as pd
from datasets import Dataset

from optimum_ose.data.benchmark_data import benchmark_data, further_split
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import Splits, make_splits


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """What data were asked for."""

    source: str
    """A file, a folder or a Hub id."""
    subset: str | None = None
    """Which of a Hub data set's several configurations."""
    split_names: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    """Own names for "train", "validation", "test"."""
    columns: Columns = field(default_factory=Columns)
    """Which columns hold what."""
    benchmark_task: str | None = None
    """A task of a published benchmark, whose own columns they have."""
    seed: int = 0
    """Of what is held out."""


def text_splits(request: DataRequest, *, are_words: bool = False) -> Splits:
    """The splits of a data set of texts, or of words with a tag each.

    Raises:
        InvalidDataError: if it cannot be read, or holds something else.
    """
    tables, columns = _tables(request)
    return make_splits(tables, columns, seed=request.seed, are_words=are_words)


def _tables(request: DataRequest) -> tuple[Mapping[str, pd.DataFrame], Columns]:
    """The splits of the data, and which of their columns hold what."""
    if request.benchmark_task is None:
        found = read_tables(request.source, split_names=request.split_names, subset=request.subset)
        return found, request.columns
    tables, columns = benchmark_data(
        request.source, request.benchmark_task, split_names=request.split_names, subset=request.subset
    )
    return tables, replace(columns, problem_type=request.columns.problem_type)


def further_rows(request: DataRequest, splits: Splits) -> Dataset | None:
    """Rows of a second development split of the benchmark's task, if it has one: see `benchmark_data.further_rows`."""
    if request.benchmark_task is None:
        return None
    return further_split(request.source, request.benchmark_task, splits, subset=request.subset)
