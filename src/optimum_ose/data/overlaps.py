"""Finds rows that two splits share, by their texts."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pandas as pd
from datasets import Dataset

from optimum_ose.preprocessing import SOUND

_TEXTS = ("text", "text_pair")


def text_keys(table: pd.DataFrame) -> "pd.Series[str]":
    """Texts with case and spaces folded."""
    if "tokens" in table:
        return table["tokens"].map(" ".join).str.casefold()
    parts = [table[role].str.casefold().str.split().str.join(" ") for role in _TEXTS if role in table]
    return parts[0] if len(parts) == 1 else parts[0] + "\t" + parts[1]


def told_overlaps(splits: Mapping[str, Dataset | pd.DataFrame]) -> tuple[str, ...]:
    """A sentence for each pair of splits that share rows; case and spaces are folded.

    Args:
        splits: name -> rows, checked: texts in `text` and maybe `text_pair`, words in `tokens`, or token rows. Of
            images and sounds only data sets that are the same are found.
    """
    keys = {name: _keys(rows) for name, rows in splits.items()}
    told = []
    for first, second in combinations(splits, 2):
        shared = int(keys[second].isin(set(keys[first])).sum())
        if shared:
            told.append(
                f"{shared:,} of the {len(keys[second]):,} rows of {second} stand in {first} too "
                f"({shared / len(keys[second]):.1%}): the score on {second} is optimistic"
            )
    return tuple(told)


def _keys(rows: Dataset | pd.DataFrame) -> "pd.Series[Any]":
    if isinstance(rows, pd.DataFrame):
        return text_keys(rows)
    plain = rows.with_format(None)
    if {"document", "relevant"} <= set(plain.column_names):  # of a collection only the queries are its split's own
        plain = plain.filter(lambda name: name is None, input_columns="document")
    names = [name for name in ("tokens", *_TEXTS) if name in plain.column_names]
    if names and SOUND not in plain.column_names:  # beside a sound, a text is what is said in it
        return text_keys(pd.DataFrame({name: pd.Series(plain[name][:], dtype=object) for name in names}))
    if "input_ids" in plain.column_names:
        return pd.Series([tuple(ids) for ids in plain["input_ids"][:]], dtype=object)
    return pd.Series([f"{plain._fingerprint}:{row}" for row in range(len(plain))], dtype=object)
