"""An export that cannot be finished leaves every old file whole and says what to do."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.export.formats import RECORD
from optimum_ose.modeling.saving import save_tokenizer
from optimum_ose.pipeline.optimizer import OSEOptimizer

State = dict[str, str]
"""File -> SHA-256 of its content."""

PRELUDE = """
    import ctypes, json, os, resource, signal, sys
    from pathlib import Path
    from export.test_export_faults import contents, optimizer
    from optimum_ose.exceptions import OutputFolderError

    folder, made = Path(sys.argv[1]), optimizer(seed=1)

    def failed_export():
        try:
            made.export(made.teacher, folder)
        except OutputFolderError as error:
            return [str(error), contents(folder)]
        return ["no error", contents(folder)]
"""
FULL_DISK = """
    answers = []
    for size in map(int, sys.argv[2:]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        answers.append(failed_export())
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps(answers))
"""
READ_ONLY = """
    # Root may write anywhere as long as it has its capabilities.
    assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()) == 0
    answers = []
    for part in (folder, folder / "onnx"):
        part.chmod(0o555)
        answers.append([str(part), *failed_export()])
        part.chmod(0o755)
    print(json.dumps(answers))
"""
KILLED = """
    def be_killed_before(change):
        count = 0

        def watch(event, arguments):
            nonlocal count
            if event == "open":
                changes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            else:
                changes = event in {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}
            if changes and str(arguments[0]).startswith(str(folder)):
                count += 1
                if count == change:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)

    states, status = [], -signal.SIGKILL
    while status == -signal.SIGKILL:
        child = os.fork()
        if child == 0:
            be_killed_before(len(states) + 1)
            made.export(made.teacher, folder)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        states.append(contents(folder))
    assert status == 0
    print(json.dumps(states))
"""


def optimizer(*, seed: int) -> OSEOptimizer:
    return OSEOptimizer(tiny_classifier(seed=seed), tiny_tokenizer(), task="text-classification")


def contents(folder: Path) -> State:
    """Every file but those that are not finished, whose names open with a dot."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def export(folder: Path, *, seed: int) -> State:
    made = optimizer(seed=seed)
    made.export(made.teacher, folder)
    return contents(folder)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Exports of two students of one shape; not to be changed."""
    folders = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    for seed, folder in enumerate(folders):
        export(folder, seed=seed)
    return folders


@pytest.fixture
def old(originals: tuple[Path, Path]) -> State:
    return contents(originals[0])


@pytest.fixture
def new(originals: tuple[Path, Path]) -> State:
    return contents(originals[1])


@pytest.fixture
def model(originals: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the old one, to be exported into."""
    return shutil.copytree(originals[0], tmp_path / "model")


def run(script: str, folder: Path, *arguments: str) -> Any:
    command = [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(script), str(folder), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_full_disk_keeps_every_old_file_whole_and_says_what_to_do(model: Path, old: State, new: State) -> None:
    limits = [
        0,
        *((model / name).stat().st_size - 1 for name in ("config.json", "model.safetensors", "onnx/model.onnx")),
    ]
    answers = run(FULL_DISK, model, *map(str, limits))
    for message, state in answers:
        assert "must be writable; writing it failed: " in message
        assert message.endswith("Free disk space, or choose a folder that you may write to")
        assert state.keys() | {RECORD} == old.keys()
        assert all(state[name] in {old[name], new[name]} for name in state)
        assert state["onnx/model.onnx"] == old["onnx/model.onnx"]
    assert "File too large" in answers[0][0]
    assert list(model.rglob(".*")) == []
    assert export(model, seed=1) == new


def test_a_tokenizer_that_does_not_fit_on_the_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        save_tokenizer(tiny_tokenizer(), tmp_path)


def test_a_read_only_folder_keeps_its_files_and_is_named(model: Path, old: State, new: State) -> None:
    for part, message, state in run(READ_ONLY, model):
        assert "must be writable; writing it failed: Permission denied. " in message
        assert part in message
        assert all(state[name] in {old[name], new[name]} for name in state)
        assert all(state[name] == old[name] for name in old if name.startswith("onnx/"))


def test_killed_before_any_change_every_file_is_the_old_or_the_new_one(model: Path, old: State, new: State) -> None:
    states = run(KILLED, model)
    assert len(states) > 10
    for state in states:
        assert state.keys() | {RECORD} == old.keys()
        assert all(state[name] in {old[name], new[name]} for name in state)
    assert states[0] == old
    assert states[-1] == new
    assert list(model.rglob(".*")) == []
