"""Folders of a tiny teacher and its data; no network."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import pytest

from themes import theme_table, trained_teacher, word_tokenizer


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher with a trained head, as `from_pretrained` takes it; to be read only."""
    folder = tmp_path_factory.mktemp("teacher")
    trained_teacher().save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def headless_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same encoder without its head; to be read only."""
    folder = tmp_path_factory.mktemp("headless")
    trained_teacher().bert.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.csv, validation.csv, test.csv of the themes; to be read only."""
    folder = tmp_path_factory.mktemp("data")
    table = theme_table(360, seed=0)
    for split, rows in (("train", table[:240]), ("validation", table[240:300]), ("test", table[300:])):
        rows.to_csv(folder / f"{split}.csv", index=False)
    return folder
