"""Rows that belong together, such as the answers to one question: whole groups are held out, left out and drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from sklearn.model_selection import train_test_split

from optimum_ose.exceptions import InvalidDataError

GROUP = "group"
"""Column of the number of a row's group, the same for all rows of one question."""
CREDIT = "credit"
"""Column of what a row earns, in [0, 1], if it is the one that is chosen of its group."""
GROUP_COLUMNS = (GROUP, CREDIT)
"""Columns that only scores read: no model gets them."""


def group_columns(rows: Dataset) -> dict[str, list[Any]]:
    """Those of them that rows have, by name."""
    return {name: rows[name][:] for name in GROUP_COLUMNS if name in rows.column_names}


def without_groups(rows: Dataset) -> Dataset:
    """The rows as a model gets them."""
    return rows.remove_columns([name for name in GROUP_COLUMNS if name in rows.column_names])


def row_without_groups(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row as a model gets it."""
    return {name: value for name, value in row.items() if name not in GROUP_COLUMNS}


def whole_groups(rows: Dataset, num_rows: int) -> Dataset:
    """The first rows, at most so many, without part of a group; the first group is kept whatever its size.

    Args:
        rows: in any order; without the column `group` each is a group of its own.
        num_rows: at least 1.
    """
    if GROUP not in rows.column_names:
        return rows.select(range(min(num_rows, len(rows))))
    groups = np.asarray(rows[GROUP][:])
    order, sizes = list(dict.fromkeys(groups.tolist())), pd.Series(groups).value_counts()
    ends = np.cumsum([sizes[group] for group in order])
    kept = order[: max(int(np.searchsorted(ends, num_rows, side="right")), 1)]
    return rows.select(np.flatnonzero(np.isin(groups, kept)))


def group_keys(table: pd.DataFrame, keys: "pd.Series[str]") -> "pd.Series[str]":
    """For each row all keys of its group, in their order: groups with the same rows have the same key.

    Args:
        table: with the column `group`, or without: each row is then a group.
        keys: of the rows.
    """
    if GROUP not in table:
        return keys
    joined = keys.groupby(table[GROUP].to_numpy(), sort=False).transform("\n".join)
    return pd.Series(joined, index=table.index, dtype=object)


def groups_of(table: pd.DataFrame, chosen: "pd.Series[bool]") -> "pd.Series[bool]":
    """The chosen rows, and all others of their groups."""
    return chosen if GROUP not in table else table[GROUP].isin(set(table[GROUP][chosen]))


def hold_out_groups(table: pd.DataFrame, *, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """A seeded share of the groups, at least one, and the others first.

    Returns:
        What is kept, what is held out, and the number of groups that are.

    Raises:
        InvalidDataError: if there are fewer than two groups.
    """
    groups = table[GROUP].unique().tolist()
    if len(groups) < 2:
        raise InvalidDataError(
            "A split can be held out of train only if it has several groups of rows",
            "all of its rows belong together",
            "Add rows, or give the split as a file",
        )
    count = max(1, round(len(groups) * share))
    kept, held_out = train_test_split(groups, test_size=count, random_state=seed)
    parts = (table[table[GROUP].isin(set(part))].reset_index(drop=True) for part in (kept, held_out))
    first, second = parts
    return first, second, count


def numbered(keys: Sequence[Any]) -> list[int]:
    """A number for each key, equal for equal ones, in the order in which they come."""
    return pd.factorize(pd.Series(keys, dtype=object))[0].tolist()  # type: ignore[no-any-return]
