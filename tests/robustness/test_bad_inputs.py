"""No bad input ends in a traceback or a long message: hundreds are drawn, from configurations to damaged folders.

The inputs are the same each time; OSE_MANY_BAD_INPUTS=1 draws more, and others.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimum_ose import OSEOptimizer
from optimum_ose.__main__ import main
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import make_splits
from optimum_ose.exceptions import OSEError
from optimum_ose.serving import OnnxPipeline
from robustness import bad_inputs
from runs import SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore")  # libraries may warn of what they are given
MAX_LINES, MAX_CHARACTERS = 10, 2_400
Edit = Callable[[Path], None]


def drawn(fast: int, slow: int) -> settings:
    """The same few inputs each time, or with `OSE_MANY_BAD_INPUTS` in the environment many others."""
    many = bool(os.environ.get("OSE_MANY_BAD_INPUTS"))
    return settings(
        max_examples=slow if many else fast,
        derandomize=not many,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def told(text: str) -> list[str]:
    """The lines of a message; progress and notes before it are not counted."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((place for place, line in enumerate(lines) if line.startswith(("optimum-ose:", "usage:"))), 0)
    return lines[first:]


def answer(words: list[str]) -> tuple[int, str]:
    """Exit code and standard error of `python -m optimum_ose`, in this process."""
    before, arguments = signal.getsignal(signal.SIGTERM), sys.argv
    stderr, code = io.StringIO(), 0
    sys.argv = ["optimum_ose", *words]
    try:
        with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.argv = arguments
        signal.signal(signal.SIGTERM, before)
    return code, stderr.getvalue()


def require_plain(words: list[str]) -> None:
    """Run a command: it must succeed, or end with exit code 2 and a short message."""
    code, printed = answer(words)
    assert "Traceback" not in printed, printed
    assert code in (0, 2), (code, printed)
    if code == 2 and not printed.startswith("usage:"):
        lines = told(printed)
        assert 1 <= len(lines) <= MAX_LINES, printed
        assert sum(map(len, lines)) <= MAX_CHARACTERS, printed


@contextlib.contextmanager
def refused_plainly() -> Iterator[None]:
    """Pass over an error of ours whose message is short; let every other one fail the test."""
    message = ""
    try:
        yield
    except OSEError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert len(message) <= MAX_CHARACTERS


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    level = logging.root.level
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    logging.root.setLevel(level)


@drawn(fast=120, slow=2_000)
@given(bad_inputs.configuration_files(), st.sampled_from(("c.yaml", "c.json", "c.yml")))
def test_a_bad_configuration_file_is_refused_plainly(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        require_plain(["run", "--config", str(path), "--print-config"])


@drawn(fast=60, slow=600)
@given(bad_inputs.flags())
def test_bad_options_are_refused_plainly(options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        named = [f"--{name}={folder}/{name}" for name in ("model", "dataset", "output")]
        require_plain(["run", *named, *options])


@pytest.mark.parametrize("kind", bad_inputs.KINDS)
def test_bad_data_files_are_refused_plainly(kind: str) -> None:
    @drawn(fast=35, slow=400)
    @given(bad_inputs.data_files(kind))
    def read(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"rows.{kind}"
            path.write_bytes(content)
            with refused_plainly():
                make_splits(read_tables(str(path)), Columns(), seed=0, are_words=kind == "conll")

    read()


def _edited_copy(source: Path, folder: str, name: str, edit: Edit) -> Path:
    copy = Path(folder) / "copy"
    shutil.copytree(source, copy)
    edit(copy / name)
    return copy


def _rows() -> Dataset:
    return Dataset.from_dict(
        {"text": ["the cat", "the rice", "the saw", "a " * 60], "label": [0, 1, 2, 0]}
    ).cast_column("label", _classes())


def _classes() -> Any:
    from datasets import ClassLabel

    return ClassLabel(names=["animals", "food", "tools"])


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_damaged_model_folders_are_refused_plainly(name: str, teacher_folder: Path) -> None:
    if name == "model.safetensors":
        edits = bad_inputs.damaged_weights()
    else:
        edits = bad_inputs.json_edits(bad_inputs.paths_of(json.loads((teacher_folder / name).read_text())))

    @drawn(fast=25, slow=300)
    @given(edits)
    def load(edit: Edit) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = _edited_copy(teacher_folder, folder, name, edit)
            with refused_plainly():
                optimizer = OSEOptimizer.from_pretrained(copy)
                optimizer.score(optimizer.teacher, _rows())

    load()


@pytest.mark.parametrize("name", ["run.json", "search.json", "benchmark.json"])
def test_damaged_records_of_a_run_are_refused_plainly(name: str, finished: Path) -> None:
    paths = bad_inputs.paths_of(json.loads((finished / "ose" / name).read_text()))

    @drawn(fast=12, slow=150)
    @given(bad_inputs.json_edits(paths))
    def use(edit: Edit) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = _edited_copy(finished, folder, f"ose/{name}", edit)
            require_plain(["report", str(copy)])
            require_plain(["push", str(copy), "me/model", "--dry-run"])
            with refused_plainly():
                OnnxPipeline.from_pretrained(copy)

    use()


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model_quantized.onnx"]
)
def test_damaged_folders_are_not_served(name: str, finished: Path) -> None:
    if name.endswith(".onnx"):
        edits = bad_inputs.damaged_weights()
    else:
        edits = bad_inputs.json_edits(bad_inputs.paths_of(json.loads((finished / name).read_text())))

    @drawn(fast=25, slow=300)
    @given(edits)
    def serve(edit: Edit) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = _edited_copy(finished, folder, name, edit)
            with refused_plainly():
                OnnxPipeline.from_pretrained(copy, num_threads=1)(["the cat", "a " * 60])

    serve()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.json", "search.json", "journal.jsonl", "benchmark.json"])
def test_a_run_in_a_damaged_folder_goes_on_or_is_refused_plainly(
    name: str, finished: Path, headless_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    paths = [("question",)]
    if name != "journal.jsonl":
        paths = bad_inputs.paths_of(json.loads((finished / "ose" / name).read_text()))
    config = tmp_path / "ose.json"
    config.write_text(json.dumps(SETTINGS))

    @drawn(fast=20, slow=60)
    @given(bad_inputs.json_edits(paths))
    def use(edit: Edit) -> None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                copy = _edited_copy(finished, folder, f"ose/{name}", edit)
            except ValueError:  # the journal holds several values
                return
            given_words = ["--model", str(headless_folder), "--dataset", str(data_folder), "--config", str(config)]
            require_plain(["run", *given_words, "--epsilon", "0.2", "--output", str(copy)])

    use()
