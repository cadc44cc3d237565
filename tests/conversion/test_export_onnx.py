"""Any model folder becomes an ordinary folder with ONNX files that answer as the model does, without a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from any_export import save
from datasets import Dataset
from export_models import build_model, build_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BertModel, PreTrainedModel

from export.test_agreement import with_outlier
from export.tiny_text import BERT_SIZES, tiny_classifier, tiny_tokenizer
from optimum_ose import ExportConfig, export_onnx
from optimum_ose.conversion.report import report_table
from optimum_ose.exceptions import (
    ExportError,
    InvalidConfigError,
    InvalidDataError,
    OSEError,
    OutputFolderError,
    UnsupportedModelError,
)
from optimum_ose.modeling.sentence_folder import write_sentence_files
from optimum_ose.serving import OnnxPipeline
from optimum_ose.tasks.parts.pooling import SentencePooling

TEXTS = ["the cat sat on a mat .", "great film", "bad movies on a mat"]
QUICK = {"block_seconds": 0.01}
EVERY_FORMAT = ExportConfig(weight_only=("int8", "int4"), half_weights=True, **QUICK)
FULL_ONLY = ExportConfig(quantization="none", **QUICK)


def saved(model: PreTrainedModel, folder: Path, tokenizer: Any = None) -> Path:
    model.save_pretrained(folder)
    (tokenizer or tiny_tokenizer()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tiny_classifier(hidden_size=64), tmp_path_factory.mktemp("models") / "classifier")


def test_every_format_of_a_folder_is_written_measured_and_answers(classifier: Path, tmp_path: Path) -> None:
    report = export_onnx(classifier, None, tmp_path / "out", EVERY_FORMAT)
    assert report.task == "text-classification"
    formats = [item.format for item in report.files]
    assert formats == ["fp32", "dynamic-int8", "weight-int8", "weight-int4", "fp16"]
    assert report.files[0].worst_difference < 1e-5
    expected = OnnxPipeline.from_pretrained(tmp_path / "out", file_name="onnx/model.onnx")(TEXTS, top_k=None)
    for item in report.files:
        assert item.num_bytes == (tmp_path / "out" / item.file).stat().st_size
        assert item.latency_ms > 0
        assert (item.agreement is None) == (item.format == "fp32")
        answers = OnnxPipeline.from_pretrained(tmp_path / "out", file_name=item.file)(TEXTS, top_k=None)
        assert [len(answer) for answer in answers] == [len(answer) for answer in expected]
    kept = json.loads((tmp_path / "out" / "ose" / "export.json").read_text())
    assert kept["default_file"] == report.default_file == "onnx/model_quantized.onnx"
    assert str(classifier) not in json.dumps(kept)
    for name in ("model_q4.onnx", "weight-int4", "agreement", "default file: onnx/model_quantized.onnx"):
        assert name in report_table(report)


def test_the_folder_is_the_model(classifier: Path, tmp_path: Path) -> None:
    export_onnx(str(classifier), None, str(tmp_path), FULL_ONLY)
    batch = AutoTokenizer.from_pretrained(tmp_path)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        one, other = (
            AutoModelForSequenceClassification.from_pretrained(folder)(**batch).logits.softmax(-1)
            for folder in (classifier, tmp_path)
        )
    assert torch.equal(one, other)
    served = OnnxPipeline.from_pretrained(tmp_path)(TEXTS)
    np.testing.assert_allclose([answer["score"] for answer in served], one.max(-1).values, atol=1e-5)


def test_a_model_in_memory_is_exported_too(tmp_path: Path) -> None:
    report = export_onnx(tiny_classifier(), tiny_tokenizer(), tmp_path, FULL_ONLY)
    assert (report.model_class, report.default_file) == ("BertForSequenceClassification", "onnx/model.onnx")
    with pytest.raises(InvalidConfigError, match=r"text-classification needs a tokenizer; got none\. Pass the model's"):
        export_onnx(tiny_classifier(), None, tmp_path / "other")


@pytest.mark.parametrize("normalizes", [True, False])
def test_a_folder_of_sentence_transformers_keeps_its_pooling(normalizes: bool, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(tiny_classifier(**BERT_SIZES).config, add_pooling_layer=False).eval()
    folder, pooling = saved(model, tmp_path / "model"), SentencePooling(mode="first", normalizes=normalizes)
    write_sentence_files(folder, pooling, width=32, max_length=24)
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "the "}}')
    report = export_onnx(folder, None, tmp_path / "out", ExportConfig(**QUICK))
    assert report.task == "feature-extraction"
    vector = np.array(OnnxPipeline.from_pretrained(tmp_path / "out", file_name="onnx/model.onnx")(TEXTS[0]))
    batch = tiny_tokenizer()(TEXTS[:1], return_tensors="pt")
    with torch.no_grad():
        expected = pooling(model(**batch).last_hidden_state, batch["attention_mask"])[0].numpy()
    np.testing.assert_allclose(vector, expected, atol=1e-5)
    modules = json.loads((tmp_path / "out" / "modules.json").read_text())
    assert len(modules) == 2 + normalizes
    assert json.loads((tmp_path / "out" / "sentence_bert_config.json").read_text())["max_seq_length"] == 24
    assert "query" in (tmp_path / "out" / "config_sentence_transformers.json").read_text()


def test_pooling_can_be_named_for_an_encoder_that_does_not_say_it(tmp_path: Path) -> None:
    model = build_model("roberta", "feature-extraction")
    folder = saved(model, tmp_path / "model", build_tokenizer("roberta"))
    export_onnx(folder, None, tmp_path / "out", ExportConfig(pooling="mean", quantization="none", **QUICK))
    assert len(OnnxPipeline.from_pretrained(tmp_path / "out")("w1 w2")) == 64
    assert (tmp_path / "out" / "modules.json").is_file()


def test_a_language_model_gets_weight_only_files_and_continues_texts(tmp_path: Path) -> None:
    folder = saved(build_model("llama", "text-generation"), tmp_path / "model", build_tokenizer("llama"))
    config = ExportConfig(quantization="none", weight_only=("int8",), **QUICK)
    report = export_onnx(folder, None, tmp_path / "out", config)
    assert report.default_file == "onnx/model_int8.onnx"
    assert "weight-only int8 agrees with fp32" in report.reason
    assert OnnxPipeline.from_pretrained(tmp_path / "out")("w1 w2")[0]["generated_text"].startswith("w1 w2")


def test_a_format_whose_answers_differ_is_not_the_default(tmp_path: Path) -> None:
    folder = saved(with_outlier(tiny_classifier()), tmp_path / "model")
    report = export_onnx(folder, None, tmp_path / "out", ExportConfig(**QUICK))
    assert report.default_file == "onnx/model.onnx"
    assert report.files[1].agreement is not None
    assert report.files[1].agreement < 0.9
    assert "only, below 0.9" in report.reason


def test_static_int8_is_calibrated_on_rows(classifier: Path, tmp_path: Path) -> None:
    rows = Dataset.from_dict({"text": TEXTS * 4})
    config = ExportConfig(quantization="static-int8", **QUICK)
    report = export_onnx(classifier, None, tmp_path / "out", config, calibration_dataset=rows)
    assert [item.format for item in report.files] == ["fp32", "static-int8"]
    assert "on rows of the task" in report.reason
    with pytest.raises(InvalidDataError, match=r"must have the column text .*; it has words"):
        export_onnx(
            classifier, None, tmp_path / "b", config, calibration_dataset=Dataset.from_dict({"words": ["a", "b"]})
        )
    assert not (tmp_path / "b").exists()


def test_a_later_export_leaves_nothing_of_an_earlier_one(classifier: Path, tmp_path: Path) -> None:
    export_onnx(classifier, None, tmp_path, EVERY_FORMAT)
    export_onnx(classifier, None, tmp_path, FULL_ONLY)
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]
    assert OnnxPipeline.from_pretrained(tmp_path)("great film")


REFUSED_FORMATS = [
    (
        "classifier",
        ExportConfig(quantization="static-int8"),
        InvalidConfigError,
        r"needs calibration rows .*--calibration",
    ),
    ("classifier", ExportConfig(pooling="mean"), UnsupportedModelError, r"Pooling needs a model that makes vectors"),
    (
        "llama",
        ExportConfig(quantization="static-int8"),
        UnsupportedModelError,
        r"whole texts; .*text-generation has none",
    ),
    ("vit", ExportConfig(quantization="static-int8"), UnsupportedModelError, r"image-classification has none"),
]


@pytest.mark.parametrize(("kind", "config", "error", "message"), REFUSED_FORMATS)
def test_a_format_that_the_task_cannot_have_is_refused_before_the_weights_are_read(
    kind: str, config: ExportConfig, error: type[OSEError], message: str, classifier: Path, tmp_path: Path
) -> None:
    folder = classifier
    if kind != "classifier":
        folder = tmp_path / kind
        model = build_model(kind, "image-classification" if kind == "vit" else "text-generation")
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)  # no weights: they are not looked for
    with pytest.raises(error, match=message):
        export_onnx(folder, None, tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_weights_or_head_is_refused(classifier: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    AutoModelForSequenceClassification.from_pretrained(classifier).config.save_pretrained(bare)
    tiny_tokenizer().save_pretrained(bare)
    with pytest.raises(InvalidConfigError, match=r"it has no file named model.safetensors"):
        export_onnx(bare, None, tmp_path / "out", ExportConfig(**QUICK))
    headless = saved(AutoModel.from_pretrained(classifier), tmp_path / "headless")
    content = json.loads((headless / "config.json").read_text())
    (headless / "config.json").write_text(json.dumps({**content, "architectures": None}))
    with pytest.raises(InvalidConfigError, match=r"exported for fill-mask must have a trained head .* hold none"):
        export_onnx(headless, None, tmp_path / "out", task="fill-mask")
    with pytest.raises(InvalidConfigError, match=r"must be a folder or Hub id"):
        export_onnx(tmp_path / "nowhere" / "at" / "all", None, tmp_path / "out", ExportConfig(**QUICK))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_refused_and_stays(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputFolderError, match=r"must be empty or written by optimum-ose; it holds notes.txt"):
        export_onnx(classifier, None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(OutputFolderError, match=r"it is the teacher's own"):
        export_onnx(classifier, None, classifier)
    run = tmp_path / "run"
    (run / "ose").mkdir(parents=True)
    (run / "ose" / "run.json").write_text("{}")
    with pytest.raises(OutputFolderError, match=r"it holds a run\. .* leave out --model to export the student"):
        export_onnx(classifier, None, run)


def test_a_file_that_differs_from_the_model_is_no_export(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"must compute what the model computes"):
        export_onnx(classifier, None, tmp_path / "out", ExportConfig(tolerance=1e-12))
    assert not list((tmp_path / "out" / "onnx").glob("*"))


def test_a_bfloat16_model_is_exported_in_float32(tmp_path: Path) -> None:
    folder = saved(tiny_classifier(), tmp_path / "model")
    save_file(
        {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    assert export_onnx(folder, None, tmp_path / "out", ExportConfig(**QUICK)).files[0].worst_difference < 1e-5


@pytest.mark.parametrize(
    ("name", "task", "asked"),
    [
        ("vit", "image-classification", np.zeros((32, 32, 3), dtype=np.uint8)),
        ("wav2vec2", "audio-classification", np.zeros(8_000, dtype=np.float32)),
        ("t5", "text2text-generation", "w1 w2 w3"),
    ],
)
def test_images_sounds_and_models_that_write_are_exported_and_answer(
    name: str, task: str, asked: Any, tmp_path: Path
) -> None:
    save(name, task, tmp_path / "model")
    config = ExportConfig(weight_only=("int8",), **QUICK)
    report = export_onnx(tmp_path / "model", None, tmp_path / "out", config)
    assert (report.task, [item.format for item in report.files]) == (task, ["fp32", "dynamic-int8", "weight-int8"])
    assert report.files[0].worst_difference <= 1e-4 * max(1.0, report.files[0].largest_output)
    for item in report.files:
        assert OnnxPipeline.from_pretrained(tmp_path / "out", file_name=item.file)(asked)
