"""A run that is to keep a share of the teacher's score: candidates are distilled until one does, or it ends with 2."""

from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from optimum_ose.artifact import OSEArtifact
from optimum_ose.pipeline.evaluation import share_kept
from optimum_ose.records import read_benchmark, read_search
from optimum_ose.serialization import read_json
from runs import SETTINGS, Arguments, refused, run

SEARCH = {
    "elastic": {"num_steps": 6, "batch_size": 8, "checkpoint_steps": 2},
    "num_eval_rows": 32,
    "sequence_length": 16,
    "axes": {"hidden_size": [8, 16], "num_hidden_layers": [1], "num_attention_heads": [1]},
}


def settings(folder: Path, **changes: object) -> Path:
    path = folder / "keep.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, "agora": None, "search": {**SEARCH, **changes}}))
    return path


def teacher_score(scores: dict[str, Any]) -> float:
    return float(scores["scores"]["teacher"]["pytorch-fp32"]["accuracy"])


@pytest.mark.parametrize("default", ["onnx/model.onnx", "onnx/model_quantized.onnx"])
def test_the_share_is_that_of_the_file_that_is_served(default: str, tmp_path: Path) -> None:
    (tmp_path / "ose").mkdir()
    scores = {"onnx-fp32": {"f1": 0.9}, "onnx-int8": {"f1": 0.6}}
    content = {
        "default_file": default,
        "metric": "f1",
        "validation_score": {"onnx-fp32": 0.8, "onnx-int8": 0.4},
        "scores": {"student": scores, "teacher": {"pytorch-fp32": {"f1": 1.0}}},
        "num_test_rows": 7,
    }
    found = share_kept(content, tmp_path, keep=0.5, teacher_score=0.8, num_validation_rows=9)
    is_full = default == "onnx/model.onnx"
    assert (found["validation_share"], found["test_share"]) == ((1.0, 0.9) if is_full else (0.5, 0.6))
    assert found["kept"]


def test_the_student_keeps_the_share_and_the_records_say_what_was_tried(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    artifact = OSEArtifact(tmp_path / "out")
    words = arguments(artifact.path, model=teacher_folder, config=settings(tmp_path), keep=0.5, prefer="size")
    run(monkeypatch, words)
    printed = capsys.readouterr().out
    kept, record = read_benchmark(artifact.benchmark)["keep"], artifact.stage("distill") or {}
    label = {"onnx/model.onnx": "onnx-fp32", "onnx/model_quantized.onnx": "onnx-int8"}[kept["file"]]
    scores = read_benchmark(artifact.benchmark)
    assert kept["file"] == scores["default_file"]
    assert kept["test_share"] == scores["scores"]["student"][label]["accuracy"] / teacher_score(scores)
    assert kept["kept"]
    assert kept["validation_share"] >= 0.5
    for told in (printed, unescape(artifact.page.read_text("utf-8")), artifact.card.read_text("utf-8")):
        assert "The student keeps 50.0% of the teacher's accuracy" in told
        assert "candidates have at least" in told
        assert "with 95% confidence it keeps at least" in told
    assert "the winner has the least parameters of" in printed
    assert record["keeps"]
    assert {"extracted", "inherited"} <= record["scores"].keys()
    assert record["validation_score"] == record["scores"][record["kept"]] == max(record["scores"].values())
    assert 1 <= len(record["tries"]) <= 3
    chosen = read_search(artifact.chosen)
    assert chosen["winner"]["architecture"] in [one["architecture"] for one in record["tries"]]
    assert chosen["keep"]["prefer"] == "size"
    assert chosen["settings"]["method"] == "elastic"
    before = artifact.chosen.read_bytes()
    run(monkeypatch, words)  # finished: nothing is done again
    assert artifact.chosen.read_bytes() == before


def test_a_search_without_training_keeps_the_share_too(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    artifact = OSEArtifact(tmp_path / "out")
    config = settings(tmp_path, method="inherited")
    run(monkeypatch, arguments(artifact.path, model=teacher_folder, config=config, keep=0.5))
    record, chosen = artifact.stage("distill") or {}, read_search(artifact.chosen)
    assert record["scores"].keys() == {"extracted", "measured"}
    assert chosen["certificate"]["assumption"] == "exhaustive"
    for told in (unescape(artifact.page.read_text("utf-8")), artifact.card.read_text("utf-8")):
        assert "each with the weights that it inherits from the teacher" in told
        assert "trainings in all" not in told
    assert read_benchmark(artifact.benchmark)["keep"]["kept"]
    assert not artifact.elastic.exists()
    before = artifact.chosen.read_bytes()
    capsys.readouterr()
    run(monkeypatch, ["students", str(artifact.path), "--sizes", "2"])
    made = read_json(artifact.path / "students/students.json")
    assert [one["distilled"] for one in made.values()] == [True, True]
    assert len({one["parameters"] for one in made.values()}) == 2
    assert artifact.chosen.read_bytes() == before


def test_larger_candidates_are_measured_where_none_within_the_default_bound_has_the_share(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    artifact = OSEArtifact(tmp_path / "out")
    axes = {"hidden_size": [4, 16], "num_attention_heads": [4], "intermediate_size": [64], "num_hidden_layers": [3]}
    config = settings(tmp_path, method="inherited", axes=axes)
    run(monkeypatch, arguments(artifact.path, model=teacher_folder, config=config, keep=0.9))
    assert "larger candidates are measured" in capsys.readouterr().err
    record = read_search(artifact.search)
    assert record["winner"]["architecture"]["hidden_size"] == 16
    assert record["keep"]["num_kept"]


def test_a_share_that_is_missed_ends_with_2_after_everything_is_written(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    artifact = OSEArtifact(tmp_path / "out")
    narrow = settings(tmp_path, axes={**SEARCH["axes"], "hidden_size": [4, 8], "intermediate_size": [4, 8]})  # type: ignore[dict-item]
    message = refused(monkeypatch, capsys, arguments(artifact.path, model=teacher_folder, config=narrow, keep=1.0))
    assert "keeps 100.0% of the teacher's score; the nearest that was found keeps" in message
    assert not read_benchmark(artifact.benchmark)["keep"]["kept"]
    tries = (artifact.stage("distill") or {})["tries"]
    assert (artifact.stage("distill") or {})["scores"].keys() == {"extracted", "inherited", "measured"}
    assert len({str(one["architecture"]) for one in tries}) == len(tries) >= 1
    best = max(tries, key=lambda one: one["finished"])
    assert read_search(artifact.chosen)["winner"]["architecture"] == best["architecture"]
    assert artifact.card.is_file()
