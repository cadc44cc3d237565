"""Text without labels joins a task without giving away what judges it."""

from pathlib import Path

import pandas as pd
import pytest

from optimum_ose.data.columns import Columns
from optimum_ose.data.splits import Splits, make_splits
from optimum_ose.data.unlabeled import read_unlabeled
from optimum_ose.exceptions import InvalidDataError


def splits(**columns: list[object]) -> Splits:
    """Three splits of four rows each; every text begins with the name of its split."""
    tables = {
        split: pd.DataFrame({name: [f"{split} {value}" for value in found] for name, found in columns.items()})
        for split in ("train", "validation", "test")
    }
    labeled = {split: table.assign(label=["a", "b"] * 2) for split, table in tables.items()}
    pair = "text_pair" if "text_pair" in columns else None
    return make_splits(labeled, Columns(text_pair=pair), seed=0)


def test_lines_that_judge_or_come_again_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("Something  new\n\nTEST  1\nvalidation 2\ntrain 3\nsomething new\nel\u2028se\n", encoding="utf-8")
    assert read_unlabeled(path, splits(text=[1, 2, 3, 4]))["text"][:] == ["Something  new", "train 3", "el\u2028se"]


def test_lines_become_words_where_the_task_tags_them(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("Anna went home\n", encoding="utf-8")
    tables = {
        split: pd.DataFrame({"tokens": [[split, "Bob"], [split]], "tags": [["O", "B-PER"], ["O"]]})
        for split in ("train", "validation", "test")
    }
    found = read_unlabeled(path, make_splits(tables, Columns(), seed=0, are_words=True))
    assert found["tokens"][:] == [["Anna", "went", "home"]]


def test_pairs_no_file_and_nothing_new_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("test 1\n", encoding="utf-8")
    single = splits(text=[1, 2, 3, 4])
    with pytest.raises(InvalidDataError, match="neither in validation nor in test"):
        read_unlabeled(path, single)
    path.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(InvalidDataError, match="must hold text, one a line; it holds none"):
        read_unlabeled(path, single)
    with pytest.raises(InvalidDataError, match="one text a line; reading .* failed"):
        read_unlabeled(tmp_path / "none.txt", single)
    with pytest.raises(InvalidDataError, match="this one takes pairs"):
        read_unlabeled(path, splits(text=[1, 2, 3, 4], text_pair=[5, 6, 7, 8]))
