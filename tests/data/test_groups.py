"""Claims about rows that belong together: no group is ever split, whatever is held out, left out or drawn."""

import pandas as pd
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.data.columns import Columns
from optimum_ose.data.groups import hold_out_groups, whole_groups
from optimum_ose.data.splits import make_splits
from optimum_ose.exceptions import InvalidDataError

COLUMNS = Columns(text="text", label="label", group="group")
QUESTIONS = st.lists(st.tuples(st.integers(0, 15), st.integers(2, 5)), min_size=6, max_size=24)
"""Of each question which text it has, and how many answers: questions may repeat others."""


def table_of(questions: list[tuple[int, int]], prefix: str, start: int = 0) -> pd.DataFrame:
    rows = [
        {
            "text": f"question {text} answer {answer}",
            "label": "right" if answer == 0 else "wrong",
            "group": f"{prefix}{n}",
        }
        for n, (text, count) in enumerate(questions, start)
        for answer in range(count)
    ]
    return pd.DataFrame(rows)


def sizes_of(table: pd.DataFrame) -> dict[tuple[str, ...], int]:
    """The texts of each group -> how often they come."""
    return table.groupby("group")["text"].apply(tuple).value_counts().to_dict()


@settings(max_examples=60, deadline=None)
@given(questions=QUESTIONS, seed=st.integers(0, 3))
def test_no_group_is_split_where_splits_are_held_out(questions, seed) -> None:
    table = table_of(questions, "q")
    distinct = {tuple(group["text"]) for _, group in table.groupby("group")}
    try:
        splits = make_splits({"train": table}, COLUMNS, seed=seed)
    except InvalidDataError:  # too few questions, or all of a class are gone
        return
    whole = {group for part in (splits.train, splits.validation, splits.test) for group in sizes_of(part.to_pandas())}
    assert whole <= distinct
    found = [set(part["text"]) for part in (splits.train, splits.validation, splits.test)]
    assert not found[0] & (found[1] | found[2])


@settings(max_examples=60, deadline=None)
@given(train=QUESTIONS, test=QUESTIONS)
def test_no_group_is_split_where_leaks_are_removed(train, test) -> None:
    tables = {
        "train": table_of(train, "q"),
        "test": table_of(test, "t"),
        "validation": table_of([(99, 2), (98, 3)], "v"),
    }
    distinct = {tuple(group["text"]) for _, group in tables["train"].groupby("group")}
    try:
        splits = make_splits(tables, COLUMNS, seed=0)
    except InvalidDataError:  # train is repeated, or empty
        return
    assert set(sizes_of(splits.train.to_pandas())) <= distinct
    assert len(splits.test) == len(tables["test"])


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=12), num_rows=st.integers(1, 40), seed=st.integers(0, 5))
def test_a_draw_of_rows_takes_whole_groups(sizes, num_rows, seed) -> None:
    groups = [number for number, size in enumerate(sizes) for _ in range(size)]
    rows = Dataset.from_dict({"group": groups}).shuffle(seed=seed)
    drawn = whole_groups(rows, num_rows)["group"][:]
    assert drawn
    assert all(drawn.count(group) == sizes[group] for group in set(drawn))
    assert len(drawn) <= num_rows or len(set(drawn)) == 1


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=30), seed=st.integers(0, 5))
def test_whole_groups_are_held_out(sizes, seed) -> None:
    groups = [number for number, size in enumerate(sizes) for _ in range(size)]
    kept, held_out, count = hold_out_groups(pd.DataFrame({"group": groups}), share=0.1, seed=seed)
    assert not set(kept["group"]) & set(held_out["group"])
    assert len(kept) + len(held_out) == len(groups)
    assert held_out["group"].nunique() == count == max(1, round(len(sizes) * 0.1))


def test_questions_that_come_again_are_removed_as_a_whole(caplog) -> None:
    questions = [(n, 2) for n in range(20)]
    table = pd.concat([table_of(questions, "q"), table_of([(3, 2), (4, 3)], "again")])
    splits = make_splits({"train": table}, COLUMNS, seed=0)
    assert "2 rows with a repeated text were removed" in splits.warnings[0]
    total = sum(map(len, (splits.train, splits.validation, splits.test)))
    assert (
        total == 42 or total == 43
    )  # (4, 2) is in train and leaves it where (4, 3) is held out, or the other way round


def test_one_group_alone_cannot_be_divided() -> None:
    with pytest.raises(InvalidDataError, match="several groups of rows; all of its rows belong together"):
        hold_out_groups(pd.DataFrame({"group": [1, 1]}), share=0.1, seed=0)
