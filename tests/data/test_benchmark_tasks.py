"""Claims about GLUE, SuperGLUE and RACE, on tiny files of the benchmarks' columns and on real ones where they are."""

import csv
import os
from pathlib import Path

import pandas as pd
import pytest

from optimum_ose.data.benchmark_tasks import BENCHMARK_TASKS, benchmark_tables, benchmark_task
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import make_splits
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

NLI = {"premise": "It rains.", "hypothesis": "It is wet."}
TWO = {"sentence1": "It rains.", "sentence2": "It is wet."}
ROWS = {
    "glue/cola": ({"sentence": "It rains."}, 1, [("It rains.", None, "acceptable")]),
    "glue/sst2": ({"sentence": "A joy."}, 1, [("A joy.", None, "positive")]),
    "glue/mrpc": (TWO, 0, [("It rains.", "It is wet.", "not_equivalent")]),
    "glue/qqp": ({"question1": "Why?", "question2": "How?"}, 1, [("Why?", "How?", "duplicate")]),
    "glue/stsb": (TWO, 3.8, [("It rains.", "It is wet.", 3.8)]),
    "glue/mnli": (NLI, 2, [("It rains.", "It is wet.", "contradiction")]),
    "glue/qnli": ({"question": "Why?", "sentence": "So."}, 0, [("Why?", "So.", "entailment")]),
    "glue/rte": (TWO, "not_entailment", [("It rains.", "It is wet.", "not_entailment")]),
    "glue/wnli": (TWO, 1, [("It rains.", "It is wet.", "entailment")]),
    "glue/ax": (NLI, 1, [("It rains.", "It is wet.", "neutral")]),
    "superglue/boolq": ({"question": "Is it?", "passage": "It is."}, True, [("Is it?", "It is.", "True")]),
    "superglue/cb": (NLI, 1, [("It rains.", "It is wet.", "contradiction")]),
    "superglue/copa": (
        {"premise": "It is wet.", "choice1": "It rained.", "choice2": "It snowed.", "question": "cause"},
        0,
        [("It is wet.", "because It rained.", "right"), ("It is wet.", "because It snowed.", "wrong")],
    ),
    "superglue/multirc": (
        {"paragraph": "It rains.", "question": "What?", "answer": "Rain"},
        1,
        [("It rains.", "What? Rain", "True")],
    ),
    "superglue/record": (
        {"passage": "Ann met Bob.", "query": "@placeholder met Bob", "entities": ["Ann", "Bob", "Ann"]},
        ["Ann"],
        [("Ann met Bob.", "Ann met Bob", "right"), ("Ann met Bob.", "Bob met Bob", "wrong")],
    ),
    "superglue/rte": (NLI, 0, [("It rains.", "It is wet.", "entailment")]),
    "superglue/wic": (
        {"word": "bed", "sentence1": "A river bed.", "sentence2": "Go to bed."},
        0,
        [("bed: A river bed.", "Go to bed.", "False")],
    ),
    "superglue/wsc": (
        {"text": "Ann saw Eve; she waved.", "span1_text": "Ann", "span2_text": "she"},
        1,
        [("Ann saw Eve; she waved.", "she is Ann", "True")],
    ),
    "superglue/axb": (TWO, 1, [("It rains.", "It is wet.", "not_entailment")]),
    "superglue/axg": (NLI, 0, [("It rains.", "It is wet.", "entailment")]),
    **dict.fromkeys(
        ("race/all", "race/middle", "race/high"),
        (
            {"article": "It rains.", "question": "What?", "options": ["sun", "rain"]},
            "B",
            [("It rains.", "What? sun", "wrong"), ("It rains.", "What? rain", "right")],
        ),
    ),
}
"""Name -> columns of one row, its label, and the examples that it becomes."""


def table_of(name, *, label=None):
    row, own, _ = ROWS[name]
    return pd.DataFrame([{**row, BENCHMARK_TASKS[name].label_column: own if label is None else label}])


def test_there_are_23_tasks():
    assert len(BENCHMARK_TASKS) == len(ROWS) == 23


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_file_of_the_benchmarks_columns_becomes_texts_and_classes(name, suffix, tmp_path):
    table = table_of(name)
    path = tmp_path / f"train.{suffix}"
    table.to_parquet(path) if suffix == "parquet" else table.to_json(path, orient="records", lines=True)
    made = benchmark_tables(BENCHMARK_TASKS[name], read_tables(str(tmp_path)))["train"]
    expected = ROWS[name][2]
    assert made["text"].to_list() == [text for text, _, _ in expected]
    if "text_pair" in made:
        assert made["text_pair"].to_list() == [pair for _, pair, _ in expected]
    else:
        assert {pair for _, pair, _ in expected} == {None}
    assert made["label"].to_list() == [label for _, _, label in expected]
    assert set(made["group"]) == {0}


@pytest.mark.parametrize("name", ROWS)
def test_a_split_without_labels_is_left_out(name):
    hidden = {"superglue/record": [[]]}.get(name, -1)
    train, test = table_of(name), table_of(name)
    test[BENCHMARK_TASKS[name].label_column] = hidden
    assert set(benchmark_tables(BENCHMARK_TASKS[name], {"train": train, "test": test})) == {"train"}


@pytest.mark.parametrize("name", ROWS)
def test_a_missing_column_is_named(name):
    table = table_of(name)
    first = BENCHMARK_TASKS[name].columns[0]
    with pytest.raises(InvalidDataError, match=rf"train split of this task must have the columns .*; it lacks {first}"):
        benchmark_tables(BENCHMARK_TASKS[name], {"train": table.drop(columns=first)})


def test_a_label_of_another_task_is_refused():
    with pytest.raises(InvalidDataError, match=r"one of negative, positive, or its number; got 'neutral'\. Give"):
        benchmark_tables(BENCHMARK_TASKS["glue/sst2"], {"train": table_of("glue/sst2", label="neutral")})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("glue/stsb", {"label": "high"}, "must be a number; got 'high'"),
        ("glue/stsb", {"label": "nan"}, "must be a number; got 'nan'"),
        ("glue/sst2", {"label": "x" * 100_000}, "must be one of negative, positive, or its number; got 'xxx"),
        ("glue/sst2", {"label": 0.5}, "must be one of negative, positive, or its number; got 0.5"),
        ("superglue/copa", {"question": "reason"}, r"row 0 does not \(KeyError: 'reason'\)"),
        ("superglue/copa", {"label": "left"}, r"row 0 does not \(ValueError"),
        ("race/all", {"answer": "E"}, r"row 0 does not \(ValueError"),
        ("superglue/record", {"entities": None}, r"row 0 does not \(TypeError"),
    ],
)
def test_a_row_that_no_benchmark_holds_is_refused(name, change, message):
    table = table_of(name).astype(object)
    for column, value in change.items():
        table.at[0, column] = value
    with pytest.raises(InvalidDataError, match=message) as found:
        benchmark_tables(BENCHMARK_TASKS[name], {"train": table})
    assert len(str(found.value)) < 1_000


def test_whole_numbers_may_be_written_with_a_fraction_of_zero():
    made = benchmark_tables(BENCHMARK_TASKS["glue/sst2"], {"train": table_of("glue/sst2", label="1.0")})
    assert made["train"]["label"].to_list() == ["positive"]


def test_training_rows_without_any_label_are_refused():
    with pytest.raises(InvalidDataError, match="training rows must have labels; none of them has one"):
        benchmark_tables(BENCHMARK_TASKS["glue/sst2"], {"train": table_of("glue/sst2", label=-1)})


def test_an_unknown_name_is_answered_with_all_names():
    with pytest.raises(InvalidConfigError, match=r"one of glue/cola, .*race/high; got 'sst2'\. Choose"):
        benchmark_task("sst2")


@pytest.mark.parametrize("name", ["glue/ax", "superglue/axb", "superglue/axg"])
def test_a_diagnostic_set_names_the_task_to_train_on(name):
    teacher = BENCHMARK_TASKS[name].trains_on
    assert BENCHMARK_TASKS[teacher].label_names == BENCHMARK_TASKS[name].label_names
    with pytest.raises(InvalidConfigError, match=rf"training rows; {name} is a diagnostic set\. Train on {teacher}"):
        benchmark_task(name)


def real(*parts):
    path = Path(os.environ.get("OSE_DATA", "/nonexistent")).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} under OSE_DATA")
    return path


@pytest.mark.parametrize(
    ("name", "folder", "num_rows"),
    [("glue/sst2", "sst2", {"train": 67_349, "validation": 872, "test": 1_821}), ("glue/rte", "rte", None)],
)
def test_the_real_files_become_checked_splits(name, folder, num_rows):
    task = benchmark_task(name)
    tables = benchmark_tables(task, read_tables(str(real(folder))))
    if num_rows is not None:
        assert {split: len(table) for split, table in tables.items()} == num_rows
    pair = "text_pair" if "text_pair" in tables["train"] else None
    splits = make_splits(tables, Columns(text="text", text_pair=pair, label="label"), seed=0)
    assert set(splits.label_names) == set(task.label_names)


def test_the_real_pairs_of_stsb_have_numbers_from_0_to_5(tmp_path):
    columns = ["genre", "file", "year", "index", "label", "sentence1", "sentence2"]
    table = pd.read_csv(
        real("stsb", "sts-dev.csv"), sep="\t", header=None, names=columns, usecols=range(7), quoting=csv.QUOTE_NONE
    )
    made = benchmark_tables(BENCHMARK_TASKS["glue/stsb"], {"train": table})["train"]
    assert len(made) == 1500
    assert made["label"].between(0, 5).all()
