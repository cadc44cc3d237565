"""A benchmark's task from the command line: its metric decides, its groups stay whole, diagnostics follow."""

import json
from pathlib import Path

import pandas as pd
import pytest

from optimum_ose.artifact import OSEArtifact
from optimum_ose.report.leaderboard import leaderboard_sentences
from runs import SETTINGS, Arguments, refused, run

NAMES = ("red", "blue", "green")


def write_nli(folder: Path) -> None:
    """Tiny files with the columns of MNLI, and a diagnostic one."""
    for split, count in (("train", 36), ("validation_matched", 9), ("validation_mismatched", 6), ("test", 9)):
        rows = [
            {"premise": f"the {split} thing {n} is red", "hypothesis": f"it is {NAMES[n % 3]}", "label": n % 3}
            for n in range(count)
        ]
        pd.DataFrame(rows).to_csv(folder / f"{split}.csv", index=False)
    rows = [{"premise": f"a thing {n}", "hypothesis": f"it is {NAMES[n % 3]}", "label": n % 3} for n in range(6)]
    pd.DataFrame(rows).to_csv(folder / "ax.csv", index=False)


@pytest.fixture(scope="module")
def mnli(tmp_path_factory: pytest.TempPathFactory, arguments: Arguments, headless_folder: Path) -> Path:
    data = tmp_path_factory.mktemp("mnli")
    write_nli(data)
    (data / "ose.yaml").write_text(json.dumps({**SETTINGS, "agora": None}))
    with pytest.MonkeyPatch.context() as patched:
        run(patched, arguments(data / "out", dataset=data, benchmark_task="glue/mnli", config=data / "ose.yaml"))
    return data


def test_both_development_splits_of_mnli_are_scored(mnli: Path) -> None:
    artifact = OSEArtifact.open(mnli / "out")
    benchmark = json.loads(artifact.benchmark.read_text())
    assert benchmark["benchmark_task"] == "glue/mnli"
    found = benchmark["further_scores"]["validation_mismatched"]
    assert found["num_rows"] == 6
    assert set(found["scores"]["student"]) == {"pytorch-fp32", "onnx-fp32", "onnx-int8"}
    assert "accuracy on validation_mismatched" in artifact.card.read_text()
    assert artifact.request["num_rows"] == {"train": 36, "validation": 9, "test": 9, "further": 6}


def test_a_diagnostic_set_is_scored_by_the_student_of_its_training_task(mnli: Path, monkeypatch, capsys) -> None:
    artifact = OSEArtifact.open(mnli / "out")
    run(monkeypatch, ["bench", str(mnli / "out"), "--benchmark-task", "glue/ax", "--dataset", str(mnli / "ax.csv")])
    printed = capsys.readouterr().out
    found = json.loads(artifact.benchmark.read_text())["diagnostic_scores"]["glue/ax"]
    score = found["scores"]["student"]["onnx-fp32"]["matthews_correlation"]
    assert -1 <= score <= 1
    assert "glue/ax on 6 rows, in percent: Matthews correlation" in printed
    assert "matthews_correlation on glue/ax" in artifact.card.read_text()
    before = artifact.benchmark.read_bytes()
    request = artifact.request
    assert request["benchmark_task"] == "glue/mnli"
    run(monkeypatch, ["report", str(mnli / "out")])
    assert artifact.benchmark.read_bytes() == before


def test_a_diagnostic_set_of_another_task_is_refused(mnli: Path, monkeypatch, capsys) -> None:
    words = ["bench", str(mnli / "out"), "--benchmark-task", "superglue/axb", "--dataset", str(mnli / "ax.csv")]
    rows = pd.DataFrame({"sentence1": ["a"], "sentence2": ["b"], "label": [0]})
    rows.to_csv(mnli / "axb.csv", index=False)
    printed = refused(monkeypatch, capsys, [*words[:-1], str(mnli / "axb.csv")])
    assert "must be one of superglue/rte" in printed
    printed = refused(monkeypatch, capsys, words[:-2])
    assert "Give both --benchmark-task and --dataset" in printed


def test_a_diagnostic_set_cannot_be_trained_on(tmp_path: Path, arguments: Arguments, monkeypatch, capsys) -> None:
    write_nli(tmp_path)
    printed = refused(monkeypatch, capsys, arguments(tmp_path / "out", dataset=tmp_path, benchmark_task="glue/ax"))
    assert "Train on glue/mnli" in printed
    assert "ose bench FOLDER --benchmark-task glue/ax --dataset FILE" in printed


def test_answers_to_one_question_are_judged_together(tmp_path: Path, arguments: Arguments, monkeypatch, capsys) -> None:
    rows = [
        {"paragraph": f"thing {n} is red", "question": "which color?", "answer": name, "label": int(name == "red")}
        for n in range(40)
        for name in NAMES
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    settings = {
        "max_length": 32,
        "search": {"max_training_steps": 2, "max_evaluations": 3, "num_eval_rows": 7, "error": "task-metric"},
        "distillation": {"num_steps": 6},
        "student_arguments": {"num_train_epochs": 1, "eval_strategy": "epoch"},
        "teacher_arguments": {"num_train_epochs": 30, "learning_rate": 2e-3},
        "export": {"block_seconds": 0.02},
        "agora": None,
    }
    config = tmp_path / "ose.yaml"
    config.write_text(json.dumps(settings))
    changes = {"dataset": tmp_path / "train.csv", "benchmark_task": "superglue/multirc", "config": config}
    run(monkeypatch, arguments(tmp_path / "out", **changes))
    assert "superglue/multirc on the test rows, in percent: F1 over all answers (F1a) / exact match" in (
        capsys.readouterr().out
    )
    artifact = OSEArtifact.open(tmp_path / "out")
    benchmark = json.loads(artifact.benchmark.read_text())
    assert benchmark["metric"] == "f1_a"
    assert set(benchmark["scores"]["student"]["onnx-fp32"]) == {"f1_a", "exact_match", "f1_m"}
    assert artifact.stage("distill")["metric"] == artifact.stage("teacher")["metric"] == "f1_a"
    assert {"f1_a", "exact_match", "f1_m"} <= artifact.stage("teacher")["validation"].keys()
    assert artifact.request["num_rows"]["test"] == 12  # four whole questions
    assert len(list(leaderboard_sentences(benchmark))) == 1
