"""One flag picks a task of a benchmark: its columns, its classes and their order."""

from pathlib import Path

import pandas as pd
import pytest

from optimum_ose.commands.request import RunRequest, open_request
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.progress import SilentListener


def write_pairs(folder: Path) -> None:
    """Tiny files with the columns of SuperGLUE's CB."""
    for split, number in (("train", 30), ("validation", 9), ("test", 9)):
        rows = [
            {"idx": row, "premise": f"the {split} cat {row}", "hypothesis": f"a dog {row}", "label": row % 3}
            for row in range(number)
        ]
        pd.DataFrame(rows).to_csv(folder / f"{split}.csv", index=False)


def test_the_flag_names_columns_and_classes(headless_folder: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path)
    request = RunRequest(model=str(headless_folder), dataset=str(tmp_path), benchmark_task="superglue/cb")
    run = open_request(request, tmp_path / "out", SilentListener())
    assert set(run.rows.train.features["label"].names) == {"entailment", "contradiction", "neutral"}
    first = run.rows.train[0]
    assert (first["text"], first["text_pair"]) == ("the train cat 0", "a dog 0")
    assert run.rows.train.features["label"].int2str(first["label"]) == "entailment"
    assert run.artifact.request["benchmark_task"] == "superglue/cb"


def test_a_task_of_numbers_keeps_its_numbers(headless_folder: Path, tmp_path: Path) -> None:
    rows = [{"sentence1": f"a cat {row}", "sentence2": f"a dog {row}", "label": float(row % 6)} for row in range(30)]
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    request = RunRequest(model=str(headless_folder), dataset=str(tmp_path), benchmark_task="glue/stsb")
    run = open_request(request, tmp_path / "out", SilentListener())
    assert run.rows.train["label"][0] in {float(score) for score in range(6)}


def test_an_unknown_task_is_told(headless_folder: Path, tmp_path: Path) -> None:
    request = RunRequest(model=str(headless_folder), dataset=str(tmp_path), benchmark_task="cb")
    with pytest.raises(InvalidConfigError, match="--benchmark-task must be one of glue/cola"):
        open_request(request, tmp_path / "out", SilentListener())


def test_words_with_tags_have_no_benchmark(headless_folder: Path, tmp_path: Path) -> None:
    names = {"model": str(headless_folder), "dataset": str(tmp_path), "task": "token-classification"}
    with pytest.raises(InvalidConfigError, match="got --benchmark-task glue/cola for words with tags"):
        open_request(RunRequest(**names, benchmark_task="glue/cola"), tmp_path / "out", SilentListener())
