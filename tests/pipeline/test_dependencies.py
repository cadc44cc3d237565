"""Stages know what they depend on: settings of unfinished stages may change, lost files are made again."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration import OSEConfig
from optimum_ose.exceptions import JournalError
from optimum_ose.output_folder import RUN_FILE
from optimum_ose.pipeline.dependencies import (
    STAGES,
    Stage,
    changed_input,
    files_of,
    inputs_of,
    require_unchanged,
    settings_of,
    stages_to_do,
)
from optimum_ose.serialization import plain

QUESTION: dict[str, Any] = {
    "task": "text-classification",
    "model": "m",
    "max_length": 32,
    "train": "t",
    "validation": "v",
    "test": "e",
    "config": plain(OSEConfig()),
}
FILES: dict[Stage, tuple[str, ...]] = {
    "teacher": ("teacher/model.safetensors", "teacher/config.json"),
    "extract": ("ose/search.json",),
    "distill": ("checkpoints/distilled/model.safetensors", "checkpoints/distilled/tokenizer.json"),
    "finetune": ("checkpoints/student/model.safetensors",),
    "export": ("config.json", "model.safetensors", "onnx/model.onnx", "checkpoints/teacher-onnx/onnx/model.onnx"),
    "benchmark": ("ose/benchmark.json",),
    "report": ("README.md", "ose/report.html", "ose/environment.json"),
}
CHANGES: dict[Stage, tuple[str, Any]] = {
    "teacher": ("teacher_arguments.learning_rate", 1e-3),
    "extract": ("search.epsilon", 0.3),
    "distill": ("distillation.num_steps", 7),
    "finetune": ("student_arguments.num_train_epochs", 9),
    "export": ("export.opset", 18),
    "benchmark": ("export.max_score_loss", 0.5),
}


def asked(changes: dict[str, Any] | None = None, **further: Any) -> dict[str, Any]:
    question = {**copy.deepcopy(QUESTION), **further}
    for name, value in (changes or {}).items():
        part, _, field = name.partition(".")
        if field:
            question["config"][part] = {**(question["config"][part] or {}), field: value}
        else:
            question["config"][part] = value
    return {"request": {}, **question}


def done(path: Path, *stages: Stage) -> OSEArtifact:
    """A folder in which stages are finished, each with small files."""
    artifact = OSEArtifact.create(path / "out", question=QUESTION, request={})
    for stage in stages:
        for name in FILES[stage]:
            file = artifact.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{stage} {name}")
        finish(artifact, stage)
    return artifact


def finish(artifact: OSEArtifact, stage: Stage) -> None:
    found = {
        "settings": settings_of(stage, asked(), has_head=False),
        "inputs": inputs_of(stage, artifact),
        "files": files_of(stage, artifact.path),
    }
    artifact.finish_stage(stage, {"finetuned_here": True}, dependencies=found)


def test_a_finished_folder_has_nothing_to_do(tmp_path: Path) -> None:
    artifact = done(tmp_path, *STAGES)
    assert stages_to_do(artifact) == {}
    assert [changed_input(stage, artifact) for stage in STAGES] == [None] * len(STAGES)
    assert require_unchanged(artifact, asked(), has_head=False) == []


@pytest.mark.parametrize("stage", CHANGES)
def test_settings_of_a_finished_stage_must_stay_and_those_of_an_unfinished_one_may_change(
    tmp_path: Path, stage: Stage
) -> None:
    name, value = CHANGES[stage]
    before = STAGES[: STAGES.index(stage)]
    require_unchanged(done(tmp_path / "before", *before), asked({name: value}), has_head=False)
    artifact = done(tmp_path / "after", *before, stage)
    with pytest.raises(JournalError, match=rf"config differ \({name} was .*, now {value}\), and stage '{stage}' is"):
        require_unchanged(artifact, asked({name: value}), has_head=False)


@pytest.mark.parametrize("part", ["task", "model", "train", "validation", "max_length"])
def test_another_model_or_other_data_are_refused_from_the_first_stage_on(tmp_path: Path, part: str) -> None:
    artifact = done(tmp_path, "teacher", "extract")
    with pytest.raises(JournalError, match=rf"answers another one: {part} differ") as caught:
        require_unchanged(artifact, asked(**{part: "other"}), has_head=False)
    assert "--search-from" not in str(caught.value)


def test_the_refusal_of_an_earlier_versions_folder_says_that_it_is_one(tmp_path: Path) -> None:
    artifact = done(tmp_path, "teacher", "extract")
    with pytest.raises(JournalError, match=r"Repeat the arguments of the first run, or use another"):
        require_unchanged(artifact, asked(train="other"), has_head=False)
    record = json.loads((artifact.path / RUN_FILE).read_text())
    del record["dependencies"]
    (artifact.path / RUN_FILE).write_text(json.dumps(record))
    with pytest.raises(JournalError, match=r"with the version of optimum-ose that wrote the folder.*, or use another"):
        require_unchanged(OSEArtifact.open(artifact.path), asked(train="other"), has_head=False)


def test_agora_may_be_left_out_before_the_student_is_finetuned(tmp_path: Path) -> None:
    require_unchanged(done(tmp_path, *STAGES[:3]), asked({"agora": None}), has_head=False)


def test_other_test_rows_concern_the_benchmark_alone(tmp_path: Path) -> None:
    require_unchanged(done(tmp_path / "a", *STAGES[:5]), asked(test="other"), has_head=False)
    with pytest.raises(JournalError, match="test differ, and stage 'benchmark' is finished"):
        require_unchanged(done(tmp_path / "b", *STAGES), asked(test="other"), has_head=False)


def test_the_refusal_names_what_keeps_the_search_where_it_can_be_kept(tmp_path: Path) -> None:
    artifact = done(tmp_path, *STAGES)
    for changes in ({"distillation.num_steps": 7}, {"search.epsilon": 0.3}):
        with pytest.raises(JournalError, match=rf"--search-from {artifact.path} and --model {artifact.teacher}"):
            require_unchanged(artifact, asked(changes), has_head=False)
    with pytest.raises(JournalError) as caught:
        require_unchanged(artifact, asked({"search.max_training_steps": 7}), has_head=False)
    assert "--search-from" not in str(caught.value)


def test_a_new_name_on_the_hub_repeats_the_report_alone(tmp_path: Path) -> None:
    artifact = done(tmp_path, *STAGES)
    question = asked(request={"push_to_hub": "me/model"})
    assert require_unchanged(artifact, question, has_head=False) == ["report"]
    artifact.reopen_stages(["report"])
    assert stages_to_do(artifact).keys() == {"report"}


def test_arguments_of_the_teacher_do_not_matter_where_it_came_with_its_head(tmp_path: Path) -> None:
    artifact = OSEArtifact.create(tmp_path / "out", question=QUESTION, request={})
    settings = settings_of("teacher", asked(), has_head=True)
    artifact.finish_stage("teacher", {"finetuned_here": False}, dependencies={"settings": settings})
    require_unchanged(artifact, asked({"teacher_arguments.num_train_epochs": 9}), has_head=True)


@pytest.mark.parametrize(
    ("lost", "stage"),
    [(name, stage) for stage in ("teacher", "extract", "export", "benchmark", "report") for name in FILES[stage]][:-1],
)
def test_a_stage_that_lost_a_file_is_to_do_again(tmp_path: Path, lost: str, stage: Stage) -> None:
    artifact = done(tmp_path, *STAGES)
    (artifact.path / lost).unlink()
    expected = set() if lost.startswith("checkpoints/") else {stage}
    assert stages_to_do(artifact).keys() == expected


@pytest.mark.parametrize("name", ["ose/search.json", "onnx/model.onnx", "model.safetensors", "ose/benchmark.json"])
@pytest.mark.parametrize("content", ["", "extract"])
def test_a_truncated_or_changed_file_is_made_again(tmp_path: Path, name: str, content: str) -> None:
    artifact = done(tmp_path, *STAGES)
    (artifact.path / name).write_text(content)
    (reason,) = stages_to_do(artifact).values()
    assert reason.startswith(f"{name} has ")


def test_an_edited_card_stays(tmp_path: Path) -> None:
    artifact = done(tmp_path, *STAGES)
    (artifact.path / "README.md").write_text("my own words")
    assert stages_to_do(artifact) == {}


def test_checkpoints_count_only_while_a_later_stage_reads_them(tmp_path: Path) -> None:
    artifact = done(tmp_path, *STAGES)
    for name in FILES["distill"] + FILES["finetune"]:
        (artifact.path / name).unlink()
    assert stages_to_do(artifact) == {}
    (artifact.path / "model.safetensors").unlink()
    assert stages_to_do(artifact).keys() == {"export", "finetune", "distill"}


def test_a_stage_whose_input_has_changed_is_stale(tmp_path: Path) -> None:
    artifact = done(tmp_path, *STAGES)
    artifact.search.write_text("another winner")
    finish(artifact, "extract")
    assert stages_to_do(artifact) == {}
    assert changed_input("distill", artifact) == "extract has changed"
    assert changed_input("finetune", artifact) is None
    artifact.search.write_text("extract ose/search.json")
    finish(artifact, "extract")
    assert changed_input("distill", artifact) is None
