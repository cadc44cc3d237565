"""Int8 becomes the default only where it answers as fp32 does, and the folder tells which file is served."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    BertConfig,
    PreTrainedModel,
)

from export.tiny_text import BERT_SIZES, WORDS, tiny_classifier, tiny_tokenizer
from optimum_ose.configuration import ExportConfig
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.export.agreement import _explained
from optimum_ose.export.formats import write_formats
from optimum_ose.serving.loading import default_file

FULL, QUANTIZED = "onnx/model.onnx", "onnx/model_quantized.onnx"
TOKENIZER = tiny_tokenizer()
ROWS = [dict(TOKENIZER(f"{first} {second} movie")) for first in WORDS[5:] for second in WORDS[9:14]]


def model_of(kind: str) -> PreTrainedModel:
    config = BertConfig(**BERT_SIZES, num_labels={"number": 1, "answers": 2}.get(kind, 3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "tags":
            return AutoModelForTokenClassification.from_config(config).eval()
        if kind == "answers":
            return AutoModelForQuestionAnswering.from_config(config).eval()
        if kind == "vectors":
            return AutoModel.from_config(config).eval()
    return tiny_classifier(config)


def with_outlier(model: PreTrainedModel) -> PreTrainedModel:
    """The same function in fp32; one channel is so large that int8 has no steps left for the others."""
    with torch.no_grad():
        for layer in model.base_model.encoder.layer:
            value, output = layer.attention.self.value, layer.attention.output.dense
            for channel in (0, 13):
                value.weight[channel] *= 30000
                value.bias[channel] *= 30000
                output.weight[:, channel] /= 30000
    return model


def export(model: PreTrainedModel, folder: Path, *, rows: Any = (), **settings: Any) -> dict[str, Any]:
    write_formats(model, TOKENIZER, folder, ExportConfig(**settings), calibration_rows=lambda: rows)
    found: dict[str, Any] = json.loads((folder / "ose" / "export.json").read_text())
    assert default_file(folder) == found["default_file"]
    return found


@pytest.mark.parametrize("kind", ["class", "number", "answers", "vectors"])
def test_an_int8_file_that_answers_as_fp32_does_is_the_default(kind: str, tmp_path: Path) -> None:
    found = export(model_of(kind), tmp_path)
    assert found["default_file"] == QUANTIZED
    assert 0.9 < found["agreement"] <= 1


@pytest.mark.parametrize(("kind", "rows"), [("class", ()), ("class", ROWS), ("number", ()), ("tags", ())])
def test_an_outlier_channel_keeps_fp32_the_default_and_says_so(
    kind: str, rows: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = export(with_outlier(model_of(kind)), tmp_path, rows=rows)
    assert found["default_file"] == FULL
    assert found["agreement"] < 0.9
    assert (tmp_path / QUANTIZED).is_file()
    assert "the fp32 file stays the default" in caplog.text
    assert ("Pass calibration_dataset" in caplog.text) == (not rows)


def test_static_int8_is_compared_too(tmp_path: Path) -> None:
    assert export(model_of("class"), tmp_path / "plain", rows=ROWS, quantization="static-int8")["agreement"] > 0.9
    found = export(with_outlier(model_of("class")), tmp_path / "outlier", rows=ROWS, quantization="static-int8")
    assert found["default_file"] == FULL


def test_files_of_an_earlier_export_are_not_served_beside_new_weights(tmp_path: Path) -> None:
    export(model_of("class"), tmp_path, half_weights=True)
    found = export(model_of("class"), tmp_path, quantization="none")
    assert found == {"agreement": None, "default_file": FULL, "reason": "there is no int8 file"}
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == ["model.onnx"]


def test_a_folder_without_records_serves_int8_if_there_is_one(tmp_path: Path) -> None:
    assert default_file(tmp_path) == FULL
    (tmp_path / "onnx").mkdir()
    (tmp_path / QUANTIZED).touch()
    assert default_file(tmp_path) == QUANTIZED


def test_the_benchmark_overrules_the_export(tmp_path: Path) -> None:
    (tmp_path / "ose").mkdir()
    for name, file in (("export", FULL), ("benchmark", QUANTIZED)):
        (tmp_path / "ose" / f"{name}.json").write_text(json.dumps({"default_file": file}))
    assert default_file(tmp_path) == QUANTIZED


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_answers_that_are_no_numbers_agree_with_nothing(bad: float) -> None:
    full = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert _explained([(full, full)]) == 1.0
    assert _explained([(full, np.where(full > 0, bad, full))]) == 0.0
    assert _explained([(full, np.zeros_like(full))]) == 0.0


@pytest.mark.parametrize("opset", [13, 21, 99])
def test_an_operator_set_that_cannot_be_written_is_refused_at_once(opset: int) -> None:
    with pytest.raises(InvalidConfigError, match="opset"):
        ExportConfig(opset=opset)
