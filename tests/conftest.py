"""Folders of a tiny teacher and its data; no network."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import hypothesis
import pytest
import yaml

from runs import SETTINGS, Arguments, run
from themes import theme_table, trained_teacher, word_tokenizer

hypothesis.settings.register_profile("same", derandomize=True)
if not os.environ.get("OSE_MANY_BAD_INPUTS"):
    hypothesis.settings.load_profile("same")
"""A commit passes or fails, whatever the day; OSE_MANY_BAD_INPUTS=1 draws anew."""


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


@pytest.fixture(scope="session")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "ose.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


@pytest.fixture(scope="session")
def arguments(headless_folder: Path, data_folder: Path, settings_file: Path) -> Arguments:
    def make(output: Path, verb: str = "run", **changes: object) -> list[str]:
        named = {
            "model": headless_folder,
            "dataset": data_folder,
            "config": settings_file,
            "epsilon": 0.2,
            "output": output,
            **changes,
        }
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in named.items() if value is not None]
        return [verb, *(part for pair in pairs for part in pair)]

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, arguments: Arguments) -> Path:
    """The folder of a finished run, to be read only."""
    output = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patched:
        run(patched, arguments(output))
    return output
