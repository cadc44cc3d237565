"""A finished folder that lost files makes them again; damaged ones are named; a corrected mistake goes on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import ClassLabel, Dataset, Features

from optimum_ose.exceptions import OSEError
from optimum_ose.output_folder import only_process
from optimum_ose.question import rows_digest
from runs import SETTINGS, Arguments, refused, run


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A finished folder that may be damaged, under its own name: the card holds it."""
    folder = tmp_path / "copies" / finished.name
    shutil.copytree(finished, folder)
    return folder


def test_a_finished_run_makes_again_what_it_lost(
    copy: Path,
    finished: Path,
    arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.rmtree(copy / "onnx")
    for name in ("ose/search.json", "ose/benchmark.json", "README.md", "model.safetensors"):
        (copy / name).unlink()
    run(monkeypatch, arguments(copy))
    told = capsys.readouterr().err
    for stage in ("extract", "export", "benchmark"):
        assert f"stage {stage} is done again: " in told
    for stage in ("teacher", "distill", "finetune"):
        assert f"stage {stage} is done again" not in told
    for name in ("ose/search.json", "model.safetensors", "onnx/model.onnx"):
        assert (copy / name).read_bytes() == (finished / name).read_bytes(), name
    assert (copy / "README.md").is_file()


@pytest.mark.parametrize(
    ("name", "content"), [("config.json", "teacher"), ("onnx/model.onnx", "garbage"), ("model.safetensors", "")]
)
def test_a_verb_on_a_folder_whose_files_have_changed_names_the_file(
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
) -> None:
    (copy / name).write_text((copy / "teacher" / name).read_text() if content == "teacher" else content)
    printed = refused(monkeypatch, capsys, ["bench", str(copy)])
    assert f"stage 'export': {name} has " in printed


@pytest.mark.parametrize("name", ["onnx/model.onnx", "onnx/model_quantized.onnx", "model.safetensors"])
def test_neither_report_nor_push_passes_over_files_that_were_cut_off(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    for words in (["report", str(copy)], ["push", str(copy), "me/small", "--dry-run"]):
        printed = refused(monkeypatch, capsys, words)
        assert f"{name} has {len(whole) // 2:,} bytes instead of {len(whole):,}" in printed
    (copy / name).unlink()
    assert f"{name} is missing" in refused(monkeypatch, capsys, ["report", str(copy)])


@pytest.mark.parametrize("name", ["evaluations", "pareto_front"])
def test_a_search_without_evaluations_is_no_finished_one(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = copy / "ose" / "search.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: []}))
    record = json.loads((copy / "ose" / "run.json").read_text())
    record.pop("dependencies")  # of an earlier version: nothing tells that the file has changed
    (copy / "ose" / "run.json").write_text(json.dumps(record))
    assert f"search.json must hold what optimum-ose wrote; {name}: " in refused(
        monkeypatch, capsys, ["report", str(copy)]
    )


def test_a_report_needs_no_checkpoints_and_a_push_no_untouched_settings(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "checkpoints")
    run(monkeypatch, ["report", str(copy)])
    assert "written: " in capsys.readouterr().out
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    run(monkeypatch, ["push", str(copy), "me/small", "--dry-run"])
    assert "nothing was sent" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"question": {}, "request": null, "stages": {}}'])
def test_every_verb_names_a_damaged_run_file(
    copy: Path,
    arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str,
) -> None:
    (copy / "ose" / "run.json").write_text(content)
    for words in (["report", str(copy)], ["distill", "--output", str(copy)], arguments(copy)):
        assert "run.json must hold what optimum-ose wrote" in refused(monkeypatch, capsys, words)


def test_the_second_command_in_a_folder_is_told_at_once(
    copy: Path, arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import threading

    told: list[str] = []
    with only_process(copy):
        thread = threading.Thread(target=lambda: told.append(_refusal(copy)))  # a lock of another thread
        thread.start()
        thread.join()
    assert "Only one process at a time" in told[0]


def _refusal(folder: Path) -> str:
    try:
        with only_process(folder):
            return ""
    except OSEError as error:
        return str(error)


@pytest.mark.slow
def test_a_mistake_that_shows_at_finetuning_is_corrected_in_the_same_folder(
    teacher_folder: Path,
    arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def settings(name: str, **changes: Any) -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**SETTINGS, **changes}))
        return path

    output = tmp_path / "out"
    run(monkeypatch, arguments(output, verb="extract", model=teacher_folder))
    run(monkeypatch, ["distill", "--output", str(output)])
    before = (output / "checkpoints" / "distilled" / "model.safetensors").read_bytes()
    other = settings("other.yaml", agora=None, student_arguments={"num_train_epochs": 2}, export={"opset": 18})
    run(monkeypatch, arguments(output, model=teacher_folder, config=other))
    assert (output / "checkpoints" / "distilled" / "model.safetensors").read_bytes() == before
    assert json.loads((output / "ose" / "run.json").read_text())["question"]["config"]["export"]["opset"] == 18
    printed = refused(monkeypatch, capsys, arguments(output, model=teacher_folder))
    assert "stage 'finetune' is finished" in printed


def test_the_digest_of_rows_sees_the_names_of_classes() -> None:
    def rows(*names: str) -> Dataset:
        return Dataset.from_dict({"label": [0, 1]}, features=Features({"label": ClassLabel(names=list(names))}))

    assert rows_digest(rows("yes", "no")) == rows_digest(rows("yes", "no")) != rows_digest(rows("Yes", "no"))
