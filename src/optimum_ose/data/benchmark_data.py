"""Reads the data of a benchmark's task: the splits of a run, a second development split, and diagnostic sets."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from datasets import Dataset

from optimum_ose.data.benchmark_tasks import BenchmarkTask, benchmark_tables, benchmark_task, named_benchmark_task
from optimum_ose.data.columns import Columns
from optimum_ose.data.groups import CREDIT, GROUP
from optimum_ose.data.reading import SPLITS, read_split, read_tables
from optimum_ose.data.splits import Splits, checked_split
from optimum_ose.exceptions import InvalidDataError


def benchmark_data(
    source: str, name: str, *, split_names: Mapping[str, str | None], subset: str | None = None
) -> tuple[dict[str, pd.DataFrame], Columns]:
    """The tables of a task that can be trained, and which of their columns hold what.

    Args:
        source: as `read_tables` takes it.
        name: of the task, such as "race/high".
        split_names: own names for "train", "validation", "test".
        subset: which of a Hub data set's several; None: as the benchmark calls the task.

    Raises:
        InvalidConfigError: if there is no such task, or it has no training rows.
        InvalidDataError: if the data are none of the task.
    """
    task = benchmark_task(name)
    found = read_tables(
        source, split_names=split_names, subset=subset or _subset(name), validation_name=task.validation
    )
    tables = benchmark_tables(task, found)
    return tables, _columns(task, tables["train"])


def further_split(source: str, name: str, splits: Splits, *, subset: str | None = None) -> Dataset | None:
    """Rows of the task's second development split, such as MNLI's mismatched one; None: it has none, or not here.

    Args:
        source: as `read_tables` takes it.
        name: of the task.
        splits: whose classes they get.
        subset: which of a Hub data set's several; None: as the benchmark calls the task.
    """
    task = named_benchmark_task(name)
    if task.further is None or Path(source).is_file():
        return None
    table = read_split(
        source, (task.further, task.further.replace("validation", "dev")), subset=subset or _subset(name)
    )
    return None if table is None else _rows(task, table, task.further, splits.label_names)


def diagnostic_rows(source: str, name: str) -> Dataset:
    """Labeled rows of a task on which a finished student is scored, such as GLUE's diagnostic set.

    Args:
        source: as `read_tables` takes it; a single file, or the split test, validation or train.
        name: of the task.

    Raises:
        InvalidDataError: if there are none.
    """
    task = named_benchmark_task(name)
    order = ("test", "validation", "train")
    table = read_split(source, [*(each for split in order for each in SPLITS[split])], subset=_subset(name))
    if table is None:
        raise InvalidDataError(
            f"The data of {name} must be a file, or a split test, validation or train", f"{source} has none", "Name one"
        )
    found = _rows(task, table, "test", task.label_names)
    if found is None:
        raise InvalidDataError(
            f"Rows of {name} must have labels",
            "none of them has one",
            "Give the labeled file of the benchmark (of GLUE's ax: diagnostic-full.tsv)",
        )
    return found


def _rows(task: BenchmarkTask, table: pd.DataFrame, split: str, label_names: tuple[str, ...]) -> Dataset | None:
    made = benchmark_tables(task, {split: table})
    return checked_split(made[split], _columns(task, made[split]), split, label_names) if split in made else None


def _columns(task: BenchmarkTask, table: pd.DataFrame) -> Columns:
    is_grouped = task.is_grouped or task.group is not None
    return Columns(
        text="text",
        text_pair="text_pair" if "text_pair" in table.columns else None,
        label="label",
        group=GROUP if is_grouped else None,
        credit=CREDIT if CREDIT in table.columns else None,
        kind=task.kind,
    )


def _subset(name: str) -> str:
    """Of a benchmark on the Hub."""
    return name.partition("/")[2]
