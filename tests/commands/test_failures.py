"""Errors of the machine are told in one message; those that nobody foresaw leave their traceback in a file."""

import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from optimum_ose.commands.failures import machine_refusal, tell_unforeseen
from optimum_ose.commands.verb import Verb
from optimum_ose.exceptions import InvalidDataError


def of_number(number: int, *names: str) -> OSError:
    return OSError(number, os.strerror(number), *names)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (of_number(errno.ENOSPC, "out/x"), "The disk must have room; No space left on device: out/x. Free some space"),
        (
            of_number(errno.EACCES, "out/x"),
            "Files must be open to this user; Permission denied: out/x",
        ),
        (of_number(errno.EROFS, "x"), "Read-only file system: x"),
        (of_number(errno.EADDRINUSE), "The address must be free; Address already in use. Choose another port"),
        (of_number(errno.EADDRNOTAVAIL), "The address must be one of this machine; Cannot assign"),
        (of_number(errno.ENOENT, "x"), "must exist; No such file or directory: x. Check"),
        (of_number(errno.EMFILE, "x"), "Few enough files must be open; Too many open files: x"),
        (of_number(errno.EIO, "x"), "The system must allow .*; Input/output error: x"),
        (socket.gaierror(-2, "Name or service not known"), "The host must be known; Name or service not known"),
        (
            OSError("Can't load tokenizer for 'x'.\n\nMany lines"),
            "within reach; Can't load tokenizer for 'x'. Many lines",
        ),
        (ConnectionError("the Hub is away"), "within reach; the Hub is away"),
        (MemoryError(), "The work must fit into memory; an allocation failed"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "The work must fit into memory"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "The disk must have room; No space left"),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"),
            "The disk must have room",
        ),
        (InvalidDataError("a", "b", "c"), "a; b. c"),
    ],
)
def test_what_the_machine_refuses_is_named_by_its_reason(error: Exception, told: str) -> None:
    refusal = machine_refusal(error)
    assert refusal is not None
    assert re.search(told, str(refusal)), refusal
    assert "\n" not in str(refusal)


def test_other_errors_are_no_refusals() -> None:
    for error in (RuntimeError("shapes differ"), SafetensorError("header too large"), KeyError("a"), ValueError("b")):
        assert machine_refusal(error) is None


class Failing(Verb):
    """A verb that fails."""

    ERROR: BaseException

    def __init__(self) -> None:
        """No arguments."""

    def execute(self) -> None:
        """Fail."""
        raise self.ERROR


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidDataError("a", "b", "c"), 2),
        (of_number(errno.ENOSPC), 2),
        (MemoryError(), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_verb_turns_errors_into_exit_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(Failing, "ERROR", error, raising=False)
    with pytest.raises(SystemExit) as caught:
        Failing().run()
    assert caught.value.code == code
    printed = capsys.readouterr().err
    assert printed.startswith("optimum-ose: ")
    assert len(printed.splitlines()) == 1


UNFORESEEN = """
import sys
from optimum_ose.commands.failures import tell_unforeseen
sys.excepthook = tell_unforeseen
raise KeyError("first line\\nsecond line")
"""


def test_an_error_that_nobody_foresaw_is_one_message_and_a_file(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OSE_TRACEBACK": "0"}
    done = subprocess.run(
        [sys.executable, "-c", UNFORESEEN], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "KeyError" in done.stderr
    (log,) = tmp_path.glob("optimum-ose-*.log")
    assert str(log) in done.stderr
    assert "Traceback" in log.read_text()
    shown = subprocess.run(
        [sys.executable, "-c", UNFORESEEN],
        capture_output=True,
        text=True,
        env={**environment, "OSE_TRACEBACK": "1"},
        check=False,
    )
    assert "Traceback" in shown.stderr


def test_without_a_place_for_the_traceback_the_message_comes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    tell_unforeseen(ValueError, ValueError(""), None)
    assert "ValueError" in capsys.readouterr().err


def test_output_that_nobody_reads_ends_quietly() -> None:
    command = f"set -o pipefail; {sys.executable} -m optimum_ose run --print-config | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in {0, 141}
