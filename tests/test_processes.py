"""What a launcher leaves in the environment must make sense; one process tells why a launch ended."""

import sys
from pathlib import Path

import pytest

from optimum_ose.exceptions import ProcessError
from optimum_ose.processes import (
    is_first,
    launched_processes,
    may_print,
    require_single_process,
    tell_refusals_once,
)

TORCHRUN = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("environment", "number"),
    [
        ({}, 1),
        ({"WORLD_SIZE": ""}, 1),
        ({"WORLD_SIZE": "1"}, 1),
        ({"LOCAL_RANK": "-1"}, 1),
        (TORCHRUN, 2),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"}, 4),
        ({"PMI_SIZE": "3", "PMI_RANK": "0"}, 3),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, 1),
    ],
)
def test_the_launcher_says_how_many_processes_there_are(environment: dict[str, str], number: int) -> None:
    assert launched_processes(environment) == number


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"])
@pytest.mark.parametrize("value", ["two", "1.5", "1e1", "٣", "-2", "0x2", "9" * 5000, "1\n2", "nan"])
def test_what_is_no_number_is_named(name: str, value: str) -> None:
    with pytest.raises(ProcessError, match=f"The environment variable {name} must be a whole number") as raised:
        launched_processes({**TORCHRUN, name: value})
    assert len(str(raised.value)) < 500


def test_no_processes_at_all_are_refused() -> None:
    with pytest.raises(ProcessError, match="WORLD_SIZE must be a whole number between 1 and"):
        launched_processes({"WORLD_SIZE": "0"})


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_a_launcher_that_leaves_a_fact_out_is_refused_for_the_processes_would_wait_for_ever(name: str) -> None:
    with pytest.raises(ProcessError, match=f"WORLD_SIZE is 2, and {name} is not set"):
        launched_processes({key: value for key, value in TORCHRUN.items() if key != name})


def test_a_rank_beyond_the_number_of_processes_is_refused() -> None:
    with pytest.raises(ProcessError, match="got RANK=2 and WORLD_SIZE=2"):
        launched_processes({**TORCHRUN, "RANK": "2"})


def test_a_launcher_that_was_asked_for_several_and_started_one_is_refused() -> None:
    alone = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    with pytest.raises(ProcessError, match="it was asked for several and started one.*torchrun"):
        launched_processes(alone)


def test_what_several_processes_do_not_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_single_process("export")
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProcessError, match="Only one process can do this: export; the launcher started 2"):
        require_single_process("export")


def test_one_process_of_a_launch_tells_why_it_ended(tmp_path: Path) -> None:
    folders = [tmp_path / str(rank) for rank in range(2)]
    for folder in folders:
        folder.mkdir()
    told = [
        may_print({**TORCHRUN, "RANK": str(rank), "TORCHELASTIC_ERROR_FILE": str(folders[rank] / "error.json")})
        for rank in (1, 0, 1)
    ]
    assert told == [True, False, False]
    assert [may_print({**TORCHRUN, "RANK": rank}) for rank in ("0", "1")] == [True, False]
    assert may_print({})
    lost = {**TORCHRUN, "TORCHELASTIC_ERROR_FILE": str(tmp_path / "gone/0/error.json")}
    assert [may_print({**lost, "RANK": rank}) for rank in ("0", "1")] == [True, False]


def test_the_first_process_shows_progress() -> None:
    assert is_first({})
    assert is_first({"RANK": "0"})
    assert not is_first({"RANK": "1"})
    assert not is_first({"OMPI_COMM_WORLD_RANK": "2"})


def test_an_uncaught_refusal_is_told_once_for_a_launch_and_other_errors_as_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    others: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: others.append(str(error)))
    before = sys.excepthook
    tell_refusals_once()
    assert sys.excepthook is before  # no launcher
    (tmp_path / "attempt" / "0").mkdir(parents=True)
    for name, value in {**TORCHRUN, "TORCHELASTIC_ERROR_FILE": str(tmp_path / "attempt" / "0" / "error.json")}.items():
        monkeypatch.setenv(name, value)
    tell_refusals_once()
    hook = sys.excepthook
    tell_refusals_once()
    assert sys.excepthook is hook
    for error in (ProcessError("must", "came", "do"), ProcessError("must", "came", "do"), ValueError("a mistake")):
        hook(type(error), error, None)
    assert capsys.readouterr().err == "optimum-ose: must; came. do\n"
    assert others == ["a mistake"]
