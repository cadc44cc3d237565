"""Output folders: nobody's files are overwritten, one process works at a time, failed writes are told as such."""

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from optimum_ose.artifact import OSEArtifact
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError
from optimum_ose.output_folder import (
    EXPORT_MARK,
    RUN_FILE,
    claim_for_export,
    claim_for_run,
    only_process,
    strange_files,
    tidy,
    working_again_in,
    working_in,
    writing,
)

HARMLESS = [".DS_Store", ".gitkeep", ".gitattributes", ".gitignore", "Thumbs.db", "desktop.ini"]
LEFT_OVER = [".saving", ".run.json.x8k.tmp", ".student.tmp", ".model.onnx.partial", ".ose-write-test-77"]


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody's work")
    return folder


@pytest.mark.parametrize("name", HARMLESS + LEFT_OVER)
def test_what_file_managers_git_and_killed_processes_leave_stops_nobody(tmp_path: Path, name: str) -> None:
    fill(tmp_path, name)
    claim_for_run(tmp_path)
    claim_for_export(tmp_path)


@pytest.mark.parametrize("claim", [claim_for_run, claim_for_export])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "onnx/model.onnx", "thesis.tex", ".env"])
def test_a_folder_of_somebody_else_is_refused_and_stays_as_it_is(tmp_path: Path, name: str, claim: object) -> None:
    fill(tmp_path / "theirs", name)
    with pytest.raises(OutputFolderError, match="must be empty or written by optimum-ose; it holds"):
        claim(tmp_path / "theirs")  # type: ignore[operator]
    assert [path.relative_to(tmp_path / "theirs").as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        name
    ]


def test_the_teachers_own_folder_is_never_written_into(tmp_path: Path) -> None:
    fill(tmp_path, "config.json", EXPORT_MARK)
    with pytest.raises(OutputFolderError, match="it is the teacher's own"):
        claim_for_export(tmp_path, teacher=str(tmp_path))
    claim_for_export(tmp_path, teacher="org/teacher-of-the-hub")


def test_a_folder_that_was_exported_into_may_be_exported_into_again(tmp_path: Path) -> None:
    claim_for_export(tmp_path / "out")
    fill(tmp_path / "out", "config.json", "onnx/model.onnx")
    claim_for_export(tmp_path / "out")
    with pytest.raises(OutputFolderError, match="`export` wrote without a run"):
        claim_for_run(tmp_path / "out")


def test_a_run_without_its_run_file_is_told_how_its_search_is_kept(tmp_path: Path) -> None:
    fill(tmp_path, "config.json", "ose/journal.jsonl", "ose/search.json")
    with pytest.raises(OutputFolderError, match=rf"must hold {RUN_FILE}.*--search-from {tmp_path}"):
        claim_for_run(tmp_path)


@pytest.mark.parametrize("value", [None, 5, "", " ", b"out", "a\0b"])
def test_a_folder_is_given_as_a_path(value: Any) -> None:
    for use in (OSEArtifact.open, partial(OSEArtifact.create, question={}, request={})):
        with pytest.raises(InvalidConfigError, match="The (output )?folder must (be of the kind|name a file)"):
            use(value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = fill(tmp_path, "out") / "out"
    for claim in (claim_for_run, claim_for_export):
        with pytest.raises(OutputFolderError, match="it is a file"):
            claim(path)


def test_left_over_files_are_removed_by_the_next_process(tmp_path: Path) -> None:
    fill(tmp_path, "ose/.run.json.abc.tmp", "checkpoints/.student.tmp/model.safetensors", ".saving/config.json", "mine")
    tidy(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]
    assert strange_files(tmp_path) == ["checkpoints", "mine"]


HOLD = """
import sys
from pathlib import Path
from optimum_ose.output_folder import working_in
with working_in(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_the_second_process_is_told_at_once_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "out"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holds\n"
    with pytest.raises(OutputFolderError, match="Only one process at a time"), working_in(tmp_path / "out"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with working_in(tmp_path / "out"):
        pass


def test_one_process_may_hold_the_lock_twice(tmp_path: Path) -> None:
    with working_in(tmp_path), only_process(tmp_path):
        pass
    with only_process(tmp_path):
        pass


def test_the_other_processes_of_a_launch_do_not_ask_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with only_process(tmp_path):
        assert not (tmp_path / "ose").exists()


def test_a_verb_on_a_folder_that_holds_no_run_makes_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(OutputFolderError, match="must be a folder written by optimum-ose"), working_again_in(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def write_too_much(kind: str, folder: Path) -> None:
    """In a process whose files may have 64 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    values = {"weight": torch.zeros(100_000)}
    try:
        with writing(folder):
            if kind == "torch":
                torch.save(values, folder / "state.pt")
            elif kind == "safetensors":
                save_file(values, folder / "model.safetensors")
            else:
                (folder / "text").write_bytes(bytes(100_000))
    except OutputFolderError as error:
        os._exit(3 if "must be writable; writing it failed: " in str(error) else 4)
    os._exit(0)


@pytest.mark.parametrize("kind", ["torch", "safetensors", "plain"])
def test_a_full_disk_is_told_whoever_writes(tmp_path: Path, kind: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=write_too_much, args=(kind, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == 3


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 61504 vs 61392"),
        Exception("No space left on device (os error 28)"),
    ],
)
def test_errors_of_a_failed_write_become_one_message(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(OutputFolderError, match="must be writable"), writing(tmp_path):
        raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2"), FileNotFoundError(errno.ENOENT, "no", "x"), KeyError(1)]
)
def test_other_errors_pass_unchanged(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(tmp_path):
        raise error
    assert caught.value is error
