"""Splits are disjoint, complete and deterministic; data that cannot answer the question are refused."""

import pandas as pd
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.data.columns import Columns
from optimum_ose.data.overlaps import told_overlaps
from optimum_ose.data.splits import make_splits
from optimum_ose.exceptions import InvalidDataError


def table(num_rows: int, offset: int = 0, labels: str = "ab") -> pd.DataFrame:
    numbers = range(offset, offset + num_rows)
    return pd.DataFrame({"text": [f"row {n}" for n in numbers], "label": [labels[n % len(labels)] for n in numbers]})


def texts(rows: object) -> set[str]:
    return set(rows["text"][:])  # type: ignore[index]


@settings(deadline=None)
@given(num_rows=st.integers(40, 200), num_classes=st.integers(2, 4), seed=st.integers(0, 5))
def test_one_file_becomes_three_disjoint_splits_that_cover_it(num_rows: int, num_classes: int, seed: int) -> None:
    whole = table(num_rows, labels="abcd"[:num_classes])
    made = make_splits({"train": whole}, Columns(), seed=seed)
    parts = [texts(made.train), texts(made.validation), texts(made.test)]
    assert sum(map(len, parts)) == num_rows
    assert set.union(*parts) == set(whole["text"])
    assert all(set(part["label"][:]) == set(range(num_classes)) for part in (made.train, made.validation, made.test))
    assert made.fingerprint() == make_splits({"train": whole}, Columns(), seed=seed).fingerprint()


def test_repeated_texts_of_one_file_are_removed() -> None:
    twice = pd.concat([table(40), table(40).assign(text=lambda rows: rows["text"].str.upper() + "  ")])
    made = make_splits({"train": twice}, Columns(), seed=0)
    assert len(made.train) + len(made.validation) + len(made.test) == 40
    assert any("repeated" in warning for warning in made.warnings)


def test_rows_of_train_that_stand_in_test_leave_train() -> None:
    made = make_splits({"train": table(40), "validation": table(20, 100), "test": table(20, 39)}, Columns(), seed=0)
    assert texts(made.test) == {f"row {n}" for n in range(39, 59)}
    assert texts(made.train) == {f"row {n}" for n in range(39)}
    assert any("removed from train" in warning for warning in made.warnings)


def test_a_missing_test_split_is_held_out_with_a_warning() -> None:
    made = make_splits({"train": table(100), "validation": table(20, 200)}, Columns(), seed=0)
    assert len(made.test) == 10
    assert any("no test split" in warning for warning in made.warnings)


@pytest.mark.parametrize(("first", "second"), [("sentence1", "sentence2"), ("text", "text_pair")])
def test_pairs_are_found_by_their_usual_names(first: str, second: str) -> None:
    pairs = pd.DataFrame({first: [f"a{n}" for n in range(40)], second: "b", "label": [0, 1] * 20})
    made = make_splits({"train": pairs}, Columns(), seed=0)
    assert made.train.column_names == ["text", "text_pair", "label"]


def test_numbered_classes_keep_their_order() -> None:
    numbered = table(60).assign(label=[n % 12 for n in range(60)])
    assert make_splits({"train": numbered}, Columns(), seed=0).label_names == tuple(map(str, range(12)))


@pytest.mark.parametrize(
    ("train", "columns", "message"),
    [
        (table(40), Columns(text="body"), "must have a text column named 'body'; its columns are text, label"),
        (table(40).rename(columns={"label": "y"}), Columns(), "must have a label column; .*--label-column"),
        (table(40, labels="a"), Columns(), "at least two classes; its only class is 'a'"),
        (table(40).assign(text=range(40)), Columns(), "'text' must hold a text .*40 of 40 rows of train do not"),
        (table(40).assign(text=[None, *["x"] * 39]), Columns(), "1 of 40 rows of train do not; the first is row 0: "),
        (table(40).assign(text=["  ", *["x"] * 39]), Columns(), "a text that is not blank"),
        (table(40).assign(label=[None, *["a", "b"] * 19, "a"]), Columns(), "'label' must hold a class in every row"),
        (table(3), Columns(), "held out of train only if every class has enough rows"),
    ],
)
def test_bad_training_rows_are_refused(train: pd.DataFrame, columns: Columns, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        make_splits({"train": train}, columns, seed=0)


def test_a_label_seen_only_in_test_is_refused() -> None:
    tables = {"train": table(40), "validation": table(10, 50), "test": table(9, 100, labels="abc")}
    with pytest.raises(InvalidDataError, match="Every class of the test split must also stand in train; .*'c'"):
        make_splits(tables, Columns(), seed=0)


def test_a_validation_split_equal_to_train_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="validation split must not repeat train; 100% of its texts"):
        make_splits({"train": table(40), "validation": table(40), "test": table(9, 100)}, Columns(), seed=0)


def test_a_split_without_the_columns_is_refused() -> None:
    tables = {"train": table(40), "validation": table(10, 50).drop(columns="label")}
    with pytest.raises(InvalidDataError, match="validation lacks label"):
        make_splits(tables, Columns(), seed=0)


def test_what_is_held_out_is_told_in_true_numbers() -> None:
    made = make_splits(
        {"train": table(200, labels="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")}, Columns(), seed=0
    )
    assert "no test split: 52 of the 200 rows of train (26.0%) are held out (stratified, seed 0)" in made.warnings
    assert len(made.test) == 52


@pytest.mark.parametrize("columns", [{}, {"text_pair": "the same"}])
def test_rows_that_validation_and_test_share_are_told(columns: dict[str, str]) -> None:
    tables = {"train": table(40), "validation": table(20, 100), "test": table(20, 115)}
    pair = Columns(text_pair="text_pair" if columns else None)
    made = make_splits({split: rows.assign(**columns) for split, rows in tables.items()}, pair, seed=0)
    assert any("5 of the 20 rows of test stand in validation too (25.0%)" in warning for warning in made.warnings)


def test_shared_rows_of_python_data_sets_are_told_for_every_kind_of_row() -> None:
    texts = Dataset.from_dict({"text": ["a", "B  c", "d"]})
    others = Dataset.from_dict({"text": ["b c", "e"]})
    (told,) = told_overlaps({"validation": texts.with_format("numpy"), "test": others})
    assert "1 of the 2 rows of test stand in validation too (50.0%)" in told
    words = Dataset.from_dict({"tokens": [["a", "b"], ["c"]]})
    assert told_overlaps({"validation": words, "test": words})
    tokens = Dataset.from_dict({"input_ids": [[1, 2], [3]]})
    assert told_overlaps({"validation": tokens, "test": tokens.select([1])})
    pixels = Dataset.from_dict({"image": [[[0]], [[1]]]})
    assert told_overlaps({"validation": pixels, "test": pixels})
    assert not told_overlaps({"validation": texts.select([0]), "test": others})


def test_repeated_texts_of_another_label_are_told() -> None:
    twice = pd.concat([table(40), table(4, labels="ba")])
    made = make_splits({"train": twice}, Columns(), seed=0)
    assert (
        "4 rows with a repeated text were removed; 4 of them had another label than the row that is kept"
        in made.warnings
    )


def test_classes_alike_but_for_case_are_kept_apart_and_told() -> None:
    made = make_splits({"train": table(60).assign(label=["Yes", "yes", "no"] * 20)}, Columns(), seed=0)
    assert made.label_names == ("Yes", "no", "yes")
    assert "classes that look alike are kept apart: 'Yes', 'yes'" in made.warnings


@pytest.mark.parametrize(
    "columns", [Columns(text="label"), Columns(text_pair="text"), Columns(text="text", label="text")]
)
def test_one_column_cannot_be_text_and_label(columns: Columns) -> None:
    with pytest.raises(InvalidDataError, match="must stand in columns of their own"):
        make_splits({"train": table(40)}, columns, seed=0)


@pytest.mark.parametrize(
    "change",
    [
        {"text": pd.Series([["x" * 9] * 50_000] * 40)},
        {"label": pd.Series([{"x": "y" * 500_000}] * 40)},
        {"label": [f"class {number} " + "x" * 9_000 for number in range(40)]},
    ],
)
def test_messages_do_not_grow_with_the_data(change: dict[str, object]) -> None:
    rows = table(40).assign(**{f"column {number}": 0 for number in range(90)}, **change)
    with pytest.raises(InvalidDataError) as found:
        make_splits({"train": rows}, Columns(), seed=0)
    assert len(str(found.value)) < 1_200
    with pytest.raises(InvalidDataError) as found:
        make_splits({"train": rows}, Columns(label="y" * 100_000), seed=0)
    assert len(str(found.value)) < 1_200
