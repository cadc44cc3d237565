"""Tasks without labels go the whole way from the command line: a student is judged by its teacher, and by texts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from optimum_ose.serving import OnnxPipeline
from runs import SETTINGS, refused, run
from test_text_alone import language_model
from themes import theme_table, word_tokenizer

SEARCH = {**SETTINGS["search"], "max_evaluations": 2}
QUICK = {name: SETTINGS[name] for name in ("max_length", "distillation", "export")} | {"search": SEARCH}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "corpus.txt"
    path.write_text("\n\n".join(theme_table(120, seed=5)["text"]) + "\n")
    return path


def saved_teacher(folder: Path, task: str) -> Path:
    language_model(task).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def command(tmp_path: Path, task: str, model: Path, dataset: Path, **further: object) -> list[str]:
    settings = tmp_path / "ose.yaml"
    settings.write_text(yaml.safe_dump({**QUICK, **further}))
    words = ["run", "--model", str(model), "--dataset", str(dataset), "--task", task, "--output", str(tmp_path / "out")]
    return [*words, "--config", str(settings)]


@pytest.mark.parametrize(("task", "metric"), [("fill-mask", "masked_accuracy"), ("text-generation", "likelihood")])
def test_a_language_model_goes_the_whole_way_on_plain_text(
    task: str,
    metric: str,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(monkeypatch, command(tmp_path, task, saved_teacher(tmp_path / "teacher", task), texts))
    assert "the task has no labels: the student is distilled, and not fine-tuned" in capsys.readouterr().err
    benchmark = json.loads((tmp_path / "out/ose/benchmark.json").read_text())
    assert benchmark["metric"] == metric
    for formats in benchmark["scores"].values():
        for name, value in formats["pytorch-fp32"].items():
            assert formats["onnx-fp32"][name] == pytest.approx(value, rel=1e-3)
    stages = json.loads((tmp_path / "out/ose/run.json").read_text())["stages"]
    assert stages["distill"]["validation_score"] >= stages["distill"]["inherited_score"]
    assert len(stages["benchmark"]["examples"]) == 3
    card = (tmp_path / "out/README.md").read_text()
    assert f"pipeline_tag: {task}" in card
    assert OnnxPipeline.from_pretrained(tmp_path / "out").task == task


def test_an_encoder_goes_the_whole_way_by_the_scores_of_pairs(
    headless_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = theme_table(240, seed=7)
    pairs = pd.DataFrame({"sentence1": texts["text"][:120], "sentence2": list(texts["text"][120:])})
    labels = list(texts["label"])
    pairs["score"] = [float(labels[row] == labels[row + 120]) for row in range(120)]
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    run(monkeypatch, command(tmp_path, "sentence-similarity", headless_folder, tmp_path / "pairs.csv"))
    out = tmp_path / "out"
    benchmark = json.loads((out / "ose/benchmark.json").read_text())
    assert benchmark["metric"] == "spearman"
    formats = benchmark["scores"]["student"]
    assert formats["onnx-fp32"]["spearman"] == pytest.approx(formats["pytorch-fp32"]["spearman"], abs=2e-3)
    assert json.loads((out / "modules.json").read_text())[1]["path"] == "1_Pooling"
    assert np.shape(OnnxPipeline.from_pretrained(out)(["some text"]))[0] == 1
    examples = json.loads((out / "ose/run.json").read_text())["stages"]["benchmark"]["examples"]
    assert all(example["label"].startswith("similarity") and "gold" in example for example in examples)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"agora": {"points_per_mistake": 2}}, "Fine-tuning, and Agora in it, need rows with labels"),
        ({"student_arguments": {"num_train_epochs": 1}}, "fill-mask has none, and student_arguments was asked for"),
    ],
    ids=["agora", "fine-tuning"],
)
def test_what_needs_labels_is_refused_before_any_work(
    further: dict[str, object],
    message: str,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = command(tmp_path, "fill-mask", saved_teacher(tmp_path / "teacher", "fill-mask"), texts, **further)
    assert message in refused(monkeypatch, capsys, words)
    assert not (tmp_path / "out/ose/journal.jsonl").exists()


def test_a_teacher_without_its_head_is_refused(
    headless_folder: Path,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = refused(monkeypatch, capsys, command(tmp_path, "fill-mask", headless_folder, texts))
    assert "The teacher must have a trained head for fill-mask" in printed


@pytest.mark.parametrize("content", [b"", b"\n \n", b"caf\xe9\nth\xe9\nna\xefve\n"], ids=["empty", "blank", "latin-1"])
def test_files_without_text_are_refused(
    content: bytes,
    headless_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "corpus.txt").write_bytes(content)
    words = command(tmp_path, "sentence-similarity", headless_folder, tmp_path / "corpus.txt")
    assert "must" in refused(monkeypatch, capsys, words)
