"""Runs of the command line in this process, on tiny models."""

import signal
import sys
from collections.abc import Callable

import pytest

from optimum_ose.__main__ import main

SETTINGS = {
    "max_length": 32,
    "search": {"max_training_steps": 2, "max_evaluations": 5, "num_eval_rows": 32, "sequence_length": 16},
    "distillation": {"num_steps": 12, "checkpoint_steps": 4},
    "student_arguments": {"num_train_epochs": 1},
    "teacher_arguments": {"num_train_epochs": 1},
    "export": {"block_seconds": 0.02},
}
Arguments = Callable[..., list[str]]
"""Makes the words of a command for an output folder, a verb and changed options."""


def run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """`python -m optimum_ose`, in this process."""
    monkeypatch.setattr(sys, "argv", ["optimum_ose", *words])
    before = signal.getsignal(signal.SIGTERM)
    try:
        main()
    finally:
        signal.signal(signal.SIGTERM, before)


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    """What a user's mistake prints; it ends with exit code 2 and no traceback."""
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, words)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    return printed
