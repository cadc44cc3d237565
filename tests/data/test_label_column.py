"""Labels are what they are, from files and from Python: sets, vectors, numbers, tags; what is missing is refused."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature
from transformers import PretrainedConfig

from optimum_ose.data.columns import Columns
from optimum_ose.data.given import plain_dataset, plain_or_none
from optimum_ose.data.labels import align_labels
from optimum_ose.data.python_rows import checked_rows
from optimum_ose.data.reading import read_file, read_tables
from optimum_ose.data.splits import make_splits
from optimum_ose.data.tables import named_table
from optimum_ose.data.targets import Kind
from optimum_ose.data.tokenization import tokenize
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.tasks.parts.token_labels import TagMetric
from themes import word_tokenizer

BOTH = ([1, 0, 1, 0], [0, 1, 1, 0])


def table(labels: list[Any]) -> pd.DataFrame:
    texts = [f"row {number}" for number in range(len(labels))]
    return pd.DataFrame({"text": texts, "label": pd.Series(labels, dtype=object)})


@pytest.mark.parametrize("form", [int, float, bool, np.float32])
@pytest.mark.parametrize("kind", [None, "classes"])
def test_vectors_of_zeros_and_ones_are_sets_of_numbered_classes(form: Any, kind: Kind | None) -> None:
    rows = table([[form(entry) for entry in BOTH[number % 2]] for number in range(40)])
    made = make_splits({"train": rows}, Columns(kind=kind), seed=0)
    assert made.label_names == ("0", "1", "2", "3")
    assert {tuple(label) for label in made.train["label"]} == {(0, 2), (1, 2)}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("form", [int, float])
def test_vectors_are_read_from_files(kind: str, form: Any, tmp_path: Path) -> None:
    rows = [{"text": f"row {n}", "label": [form(entry) for entry in BOTH[n % 2]]} for n in range(40)]
    path = tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pd.DataFrame(rows).to_parquet(path)
    made = make_splits(read_tables(str(path)), Columns(), seed=0)
    assert made.label_names == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([[0, 1], [1, 0]] * 20, ("0", "1")),
        ([[0, 1], [0], [1], []] * 10, ("0", "1")),
        ([[2, 0], [1]] * 20, ("0", "1", "2")),
        ([["0", "1", "1"], ["1", "0", "0"]] * 20, ("0", "1")),
    ],
)
def test_lists_of_classes_stay_sets(labels: list[Any], names: tuple[str, ...]) -> None:
    assert make_splits({"train": table(labels)}, Columns(), seed=0).label_names == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1]] * 40, "can be read in both ways"),
        ([[0, 1, 1], [1, 0]] * 20, "can be read in both ways"),
        ([[1.0, 0.0], [1.0]] * 20, "can be read in both ways"),
        ([[0.25, 0.75], [1.0, 0.0]] * 20, "a list of zeros and ones"),
        ([[["a"]], ["b"]] * 20, "must hold a list of classes"),
        (["['a', 'b']", '["a"]'] * 20, "texts that look like lists"),
        ([{"a": 1}, "b"] * 20, r"must hold a class \(a text, a number or a truth value\) in every row; 20 of 40"),
        ([dt.datetime(2024, 1, 1), "b"] * 20, r"must hold a class \(a text, .*\) in every row; 20 of 40"),
        ([pd.NaT, dt.datetime(2024, 1, 1)] * 20, r"\(a text, .* 40 of 40 .* first with a value is row 1: datetime"),
        ([b"a", "b"] * 20, r"must hold a class \(a text, .*\) in every row; 20 of 40"),
        ([float("inf"), 1.0] * 20, "must hold a class in every row; 20 of 40"),
        ([10**5000, 1] * 20, "must hold a class in every row; 20 of 40"),
        (["\ud800", "b"] * 20, "must hold a class in every row; 20 of 40"),
        ([["x" * 100_000] * 9, "b"] * 20, "must hold a list of classes in every row; 20 of 40"),
    ],
)
def test_labels_that_are_none_are_refused_in_a_few_words(labels: list[Any], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message) as found:
        make_splits({"train": table(labels)}, Columns(), seed=0)
    assert len(str(found.value)) < 1_000


def test_numbers_that_lose_digits_as_floats_are_classes_or_refused() -> None:
    rows = table([2**53 + 1, 2**53, 1.5] * 20)
    assert make_splits({"train": rows}, Columns(), seed=0).label_names == (str(2**53), str(2**53 + 1), "1.5")
    with pytest.raises(InvalidDataError, match="a number that keeps its digits as a float in every row; 20 of 60"):
        make_splits({"train": rows}, Columns(kind="number"), seed=0)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), "", " \t"])
@pytest.mark.parametrize("kind", ["class", "number", "classes"])
def test_missing_labels_of_every_kind_are_refused(missing: Any, kind: Kind) -> None:
    known: dict[str, Any] = {"class": "a", "number": 1.5, "classes": ["a"]}
    other: dict[str, Any] = {"class": "b", "number": 2.5, "classes": ["b"]}
    labels = [missing if number % 3 == 1 else (known, other)[number % 2][kind] for number in range(30)]
    with pytest.raises(InvalidDataError, match="in every row; 10 of 30 rows of train do not; the first is row 1: "):
        make_splits({"train": table(labels)}, Columns(kind=kind), seed=0)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, None, 2] * 10, dtype="Int64"),
        pd.Series(["a", None, "b"] * 10, dtype="string"),
        pd.Series([True, None, False] * 10, dtype="boolean"),
        pd.Series(["a", None, "b"] * 10, dtype="category"),
        pd.to_datetime(pd.Series(["2024-01-01", None, "2024-01-02"] * 10)),
        pd.Series([1.5, None, 2.5] * 10),
    ],
)
def test_what_is_missing_in_a_typed_column_is_missing(column: "pd.Series[Any]", tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": [f"row {number}" for number in range(30)], "label": column}).to_parquet(path)
    with pytest.raises(InvalidDataError, match="in every row; (10|30) of 30 rows of train do not"):
        make_splits(read_tables(str(path)), Columns(), seed=0)


def test_whole_numbers_keep_every_digit_beside_missing_ones(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": ["a", "b", "c"], "label": pd.Series([2**53 + 1, 2**53, None], dtype="Int64")}).to_parquet(
        path
    )
    assert read_file(path)["label"].to_list() == [2**53 + 1, 2**53, None]


def test_exact_decimals_are_numbers() -> None:
    made = make_splits({"train": table([Decimal("1.25"), Decimal("2.5")] * 20)}, Columns(), seed=0)
    assert made.kind == "number"


@pytest.mark.parametrize("source", ["parquet", "folder", "dataset"])
def test_declared_class_names_are_believed(source: str, tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["pos", "neg"])})
    rows = Dataset.from_dict({"text": [f"row {n}" for n in range(40)], "label": [0, 1] * 20}, features=features)
    if source == "parquet":
        rows.to_parquet(str(tmp_path / "rows.parquet"))
        tables = read_tables(str(tmp_path / "rows.parquet"))
    elif source == "folder":
        rows.save_to_disk(str(tmp_path / "rows"))
        tables = read_tables(str(tmp_path / "rows"))
    else:
        tables = {"train": named_table(rows.with_format("numpy"))}
    made = make_splits(tables, Columns(), seed=0)
    assert made.label_names == ("pos", "neg")
    assert made.train["label"][0] == int(made.train["text"][0].split()[1]) % 2


def test_declared_tags_are_believed_and_ignored_positions_are_no_class(tmp_path: Path) -> None:
    features = Features(
        {"tokens": ListFeature(Value("string")), "ner_tags": ListFeature(ClassLabel(names=["O", "B-x"]))}
    )
    content = {"tokens": [["the", "lamp", f"{n}"] for n in range(30)], "ner_tags": [[0, 1, -100]] * 30}
    Dataset.from_dict(content, features=features).to_parquet(str(tmp_path / "rows.parquet"))
    made = make_splits(read_tables(str(tmp_path / "rows.parquet")), Columns(), seed=0, are_words=True)
    assert made.label_names == ("O", "B-x")
    assert made.train["label"][0] == [0, 1, None]


def test_whole_number_tags_with_ignored_positions(tmp_path: Path) -> None:
    lines = [json.dumps({"tokens": ["a", "b", str(n)], "tags": [-100, 1, 0]}) for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    made = make_splits(read_tables(str(tmp_path / "rows.jsonl")), Columns(), seed=0, are_words=True)
    assert made.label_names == ("0", "1")
    assert made.test["label"][0] == [None, 1, 0]


def test_a_row_of_no_class_is_refused() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"])})
    rows = Dataset.from_dict({"text": ["x", "y", "z"], "label": [0, 1, -1]}, features=features)
    with pytest.raises(InvalidDataError, match="1 of 3 rows of train do not; the first is row 2: None"):
        make_splits({"train": named_table(rows)}, Columns(), seed=0)
    with pytest.raises(InvalidDataError, match="1 of 3 rows of train have none; the first is row 2: -1"):
        checked_rows(rows, role="train")


@pytest.mark.parametrize("form", ["numpy", "pandas", "torch", "arrow", None])
def test_a_formatted_data_set_gives_checked_rows(form: str | None) -> None:
    rows = Dataset.from_dict({"text": ["x", "y"], "label": [0, 1]})
    assert list(checked_rows(rows.with_format(form))) == list(rows)


@pytest.mark.parametrize("form", [int, float])
def test_vectors_from_python_are_lists_of_classes(form: Any) -> None:
    rows = Dataset.from_dict({"text": ["x", "y"], "label": [[form(entry) for entry in vector] for vector in BOTH]})
    found = checked_rows(rows.with_format("numpy"))
    assert found["label"][:] == [[0, 2], [1, 2]]
    assert found.features["label"].feature.names == ["0", "1", "2", "3"]


def test_ignored_tags_from_python_are_none() -> None:
    rows = Dataset.from_dict({"tokens": [["a", "b"]], "label": [[-100, 1]]})
    assert checked_rows(rows)["label"][:] == [[None, 1]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": [], "label": []}, "the data set is empty"),
        ({"text": ["x", None], "label": [0, 1]}, "a text that is not blank in every row; 1 of 2 rows of train"),
        ({"text": [1, 2], "label": [0, 1]}, "a text that is not blank in every row; 2 of 2"),
        ({"text": ["x", "y"], "label": [0, None]}, "1 of 2 rows of train have none"),
        ({"tokens": [["a"], []], "label": [[0], []]}, "a list of words in every row; 1 of 2"),
    ],
)
def test_rows_from_python_without_text_or_label_are_refused(columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        checked_rows(Dataset.from_dict(columns), role="train")


def test_every_verb_of_python_checks_its_rows_so() -> None:
    rows = Dataset.from_dict({"text": ["x", "y"], "label": [0, None]})
    with pytest.raises(InvalidDataError, match="1 of 2 rows of train_dataset have none"):
        plain_dataset(rows, "train_dataset")
    assert plain_or_none(rows, "unlabeled_dataset") is rows
    vectors = Dataset.from_dict({"text": ["x", "y"], "label": list(BOTH)})
    assert plain_dataset(vectors.with_format("torch"), "train_dataset")["label"][:] == [[0, 2], [1, 2]]


def test_words_without_a_tag_teach_nothing_and_judge_nothing() -> None:
    rows = Dataset.from_dict({"tokens": [["the", "old", "cat"]], "label": [[-100, 1, 0]]})
    rows = align_labels(checked_rows(rows), PretrainedConfig(id2label={0: "0", 1: "1"}))
    token_rows = tokenize(rows, word_tokenizer(), max_length=8)
    assert token_rows["labels"][:] == [[-100, -100, 1, 0, -100]]
    metric = TagMetric(label_names=("O", "B-x"))
    assert metric.judged([[1, 1, 0]], rows["label"][:])["f1"] == 1.0
    assert metric.judged([[0, 1, 1]], rows["label"][:])["f1"] < 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0"), ("1e3", "1000"), ("0,5", "0.5"), ("caf\u00e9", "cafe\u0301"), ("Yes", "yes"), ("\uff21", "a")],
)
def test_classes_that_look_alike_are_kept_apart_and_named_once(one: str, other: str) -> None:
    made = make_splits({"train": table([one, other, "z"] * 20)}, Columns(kind="class"), seed=0)
    assert len(made.label_names) == 3
    (told,) = [warning for warning in made.warnings if "look alike" in warning]
    for name in (one, other):
        assert (repr(name) if name.isascii() else ascii(name)) in told


def test_classes_that_do_not_look_alike_are_not_told_of() -> None:
    made = make_splits({"train": table(["007", "7", "a", "b1", "1.5"] * 20)}, Columns(kind="class"), seed=0)
    assert not [warning for warning in made.warnings if "look alike" in warning]


def test_one_number_for_all_rows_teaches_nothing() -> None:
    with pytest.raises(InvalidDataError, match=r"must differ between training rows; all \d+ are 2.5"):
        make_splits({"train": table([2.5] * 40)}, Columns(kind="number"), seed=0)


def test_a_whole_number_below_zero_is_no_tag() -> None:
    rows = pd.DataFrame({"tokens": [["a", str(row)] for row in range(40)], "tags": [[0, 1], [1, -1]] * 20})
    with pytest.raises(InvalidDataError, match="a tag by -100 or null; row 1 of train holds -1"):
        make_splits({"train": rows}, Columns(), seed=0, are_words=True)
