"""`ose export`: any model with --model, the student of a run without."""

from collections.abc import Callable
from pathlib import Path

import pytest

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.conversion import measuring
from optimum_ose.serving import OnnxPipeline
from runs import refused, run

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_classifier(hidden_size=64).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_ROUNDS", 1)


def test_a_model_is_exported_in_the_formats_that_are_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("body,label\n" + "the cat sat on a mat,2\ngreat film,0\n" * 8)
    formats = ["static-int8", "weight-int4", "fp16"]
    words = ["export", "--model", str(model), "--output", str(tmp_path / "out"), "--formats", *formats]
    run(monkeypatch, [*words, "--calibration", str(texts), "--text-column", "body", "--opset", "18"])
    printed = capsys.readouterr().out
    for name in (*formats, "fp32", "BertForSequenceClassification", "default file: ", "on rows of the task"):
        assert name in printed
    assert "try: optimum-cli ose serve" in printed
    assert sorted(path.name for path in (tmp_path / "out" / "onnx").iterdir()) == [
        *("model.onnx", "model_fp16.onnx", "model_q4.onnx", "model_quantized.onnx"),
    ]
    assert OnnxPipeline.from_pretrained(tmp_path / "out")("great film")[0]["label"].startswith("LABEL_")


def test_without_formats_it_is_fp32_and_dynamic_int8(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, ["export", "--model", str(model), "--task", "text-classification", "--output", str(tmp_path)])
    assert "dynamic-int8" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == ["model.onnx", "model_quantized.onnx"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--output", "{empty}"],
            r"needs a model (--model), or in --output the folder of a run; {empty} has no ose/run",
        ),
        (["--output", "{missing}"], "there is no such folder"),
        (["--output", "{missing}", "--task", "fill-mask"], "got --task without --model"),
        (["--model", "{model}", "--output", "{missing}", "--task", "fill"], "task must be one of"),
        (["--model", "{model}", "--output", "{missing}", "--task", "fill-mask"], "must have a trained head for it"),
        (["--model", "{model}", "--output", "{strange}"], "it holds notes.txt"),
        (["--model", "{empty}", "--output", "{missing}"], "it has no file named config.json"),
        (["--model", "{model}", "--output", "{missing}", "--formats", "int3"], "invalid choice: 'int3'"),
        (["--model", "{model}", "--output", "{missing}", "--formats", "static-int8"], "needs calibration rows"),
        (
            ["--model", "{model}", "--output", "{missing}", "--formats", "static-int8", "dynamic-int8"],
            "writes one of dynamic-int8 and static-int8",
        ),
        (["--model", "{model}", "--output", "{missing}", "--calibration", "{missing}"], "must be a file"),
        (
            ["--model", "{model}", "--output", "{missing}", "--calibration", "{file}", "--text-column", "body"],
            "it lacks body; its columns are text",
        ),
        (["--model", "{model}", "--output", "{missing}", "--tolerance", "-1"], "tolerance must be positive"),
        (["--model", "{model}", "--output", "{missing}", "--opset", "9"], "a whole number from 14 to 20"),
    ],
)
def test_mistakes_end_with_one_message_before_anything_is_written(
    words: list[str],
    message: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {name: str(tmp_path / name) for name in ("empty", "missing", "strange")}
    places |= {"model": str(model), "file": str(tmp_path / "texts.txt")}
    for name in ("empty", "strange"):
        (tmp_path / name).mkdir()
    (tmp_path / "strange" / "notes.txt").write_text("mine")
    (tmp_path / "texts.txt").write_text("the cat\n")
    printed = refused(monkeypatch, capsys, ["export", *(word.format(**places) for word in words)])
    assert message.format(**places) in printed
    assert len(printed.splitlines()) <= 10
    assert not (tmp_path / "missing").exists()
