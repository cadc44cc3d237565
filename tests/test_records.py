"""Damaged records are named with their file and their fault, whatever was done to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.exceptions import JournalError, OSEError, OutputFolderError
from optimum_ose.journal import Journal
from optimum_ose.records import read_benchmark, read_run, read_search
from optimum_ose.serialization import canonical_line

READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "run.json": read_run,
    "search.json": read_search,
    "benchmark.json": read_benchmark,
}
EVALUATION = {
    "architecture": {"hidden_size": 8},
    "theta": {},
    "w": 0.5,
    "objectives": {"parameter_size": 10.0, "inference_cost": 10.0, "error": 0.1},
    "failed": False,
}
WHOLE: dict[str, dict[str, Any]] = {
    "run.json": {
        "question": {"config": {}},
        "request": {"model": "m", "seed": 0, "num_rows": {"train": 3}},
        "stages": {},
    },
    "search.json": {
        "winner": EVALUATION,
        "maximum_point": [20.0, 20.0],
        "certificate": {"statement": "s", "num_trained": 1, "num_candidates": 1},
        "evaluations": [EVALUATION],
        "pareto_front": [EVALUATION],
        "space": {"axes": {"hidden_size": [8]}, "constraints": [], "num_architectures": 1}
        | {"maximum_point": {"hidden_size": 16}},
        "settings": {},
    },
    "benchmark.json": {
        "scores": {"teacher": {}, "student": {}},
        "sizes": {"teacher": {}, "student": {}},
        "latency": {"results": [], "machine": {}},
        "default_file": "onnx/model.onnx",
        "label_names": ["a"],
        "num_test_rows": 1,
    },
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_record_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(WHOLE[name]))
    assert READERS[name](tmp_path / name) == WHOLE[name]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "5", '"text"', "{", "\x00\x01", "[" * 3000, "9" * 5000])
def test_a_damaged_record_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OutputFolderError, match=name):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [None, [], 5, "text"])
def test_a_part_of_another_kind_is_named(tmp_path: Path, name: str, value: object) -> None:
    for part, before in WHOLE[name].items():
        if type(before) is type(value):
            continue
        (tmp_path / name).write_text(json.dumps({**WHOLE[name], part: value}))
        with pytest.raises(OutputFolderError, match=rf"{name} must hold what optimum-ose wrote; {part}"):
            READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", WHOLE)
def test_a_missing_part_or_file_is_named(tmp_path: Path, name: str) -> None:
    for part in WHOLE[name]:
        (tmp_path / name).write_text(json.dumps({key: value for key, value in WHOLE[name].items() if key != part}))
        with pytest.raises(
            OutputFolderError, match=rf"{name} must hold what optimum-ose wrote; {part}: Field required"
        ):
            READERS[name](tmp_path / name)
    (tmp_path / name).unlink()
    with pytest.raises(OutputFolderError, match=rf"{name} must be there; it is missing"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("architecture", [{"hidden_size": 4096}, {"num_hidden_layers": 1}, {"hidden_size": 0}, {}])
def test_a_winner_outside_the_search_space_is_refused(tmp_path: Path, architecture: dict[str, int]) -> None:
    winner = {**EVALUATION, "architecture": architecture}
    (tmp_path / "search.json").write_text(json.dumps({**WHOLE["search.json"], "winner": winner}))
    with pytest.raises(OutputFolderError, match="search"):
        read_search(tmp_path / "search.json")


@pytest.mark.parametrize("request_part", [{"seed": "x"}, {"model": 5}, {"trust_remote_code": "yes"}, {"num_rows": [1]}])
def test_arguments_of_another_type_are_refused(tmp_path: Path, request_part: dict[str, object]) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**WHOLE["run.json"], "request": request_part}))
    with pytest.raises(OutputFolderError, match=rf"request.{next(iter(request_part))}"):
        read_run(tmp_path / "run.json")


TRAINING = {"architecture": {"hidden_size": 8}, "theta": {}, "replicate": 0, "error": 0.5}
BLOCK = {"kind": "latency block", "architecture": {"hidden_size": 8}, "round": 1}


def test_a_journal_of_trainings_and_timing_blocks_is_read(tmp_path: Path) -> None:
    entries = [TRAINING, {**TRAINING, "error": None}, BLOCK]
    lines = [canonical_line({"question": {}}), *map(canonical_line, entries)]
    (tmp_path / "journal.jsonl").write_text("\n".join(lines) + "\n")
    assert list(Journal(tmp_path / "journal.jsonl", question={})) == entries


@pytest.mark.parametrize("without", sorted(TRAINING))
def test_a_journal_entry_without_a_part_is_refused(tmp_path: Path, without: str) -> None:
    entry = {name: value for name, value in TRAINING.items() if name != without}
    (tmp_path / "journal.jsonl").write_text(f"{canonical_line({'question': {}})}\n{canonical_line(entry)}\n")
    with pytest.raises(JournalError, match="line 2 is damaged"):
        Journal(tmp_path / "journal.jsonl", question={})


@pytest.mark.parametrize("header", [{"question": []}, {"question": None}, {}, {"question": "text"}])
def test_a_journal_without_its_question_is_refused(tmp_path: Path, header: dict[str, object]) -> None:
    (tmp_path / "journal.jsonl").write_text(canonical_line(header) + "\n")
    with pytest.raises(JournalError, match="line 1 is damaged"):
        Journal(tmp_path / "journal.jsonl", question={})


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="it is a folder"):
        Journal(tmp_path, question={})


def test_messages_stay_short_whatever_a_record_holds(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"question": {}, "request": {}, "stages": "x" * 100_000}))
    with pytest.raises(OSEError) as caught:
        read_run(tmp_path / "run.json")
    assert len(str(caught.value)) < 1000
