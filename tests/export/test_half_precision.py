"""Half weights are half the size, nearly the same model, and run as float32."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig

from export.tiny_text import BERT_SIZES, tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import ExportError
from optimum_ose.export.half_precision import write_half_weights
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity, open_session

TOKENIZER = tiny_tokenizer()


def test_the_file_is_half_the_size_and_answers_nearly_the_same(tmp_path: Path) -> None:
    model = AutoModelForMaskedLM.from_config(BertConfig(**{**BERT_SIZES, "vocab_size": 8000})).eval()
    full = export_onnx(model, TOKENIZER, tmp_path)
    half = write_half_weights(tmp_path)
    assert half == tmp_path / "onnx" / "model_fp16.onnx"
    assert half.stat().st_size < 0.55 * full.stat().st_size
    assert check_parity(model, half, TOKENIZER, tolerance=0.01).worst_difference > 1e-6
    for one, other in zip(open_session(half).get_inputs(), open_session(full).get_inputs(), strict=True):
        assert (one.name, one.type, one.shape) == (other.name, other.type, other.shape)


def test_the_runtime_widens_the_weights_once_when_it_loads_them(tmp_path: Path) -> None:
    export_onnx(tiny_classifier(), TOKENIZER, tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "seen.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(write_half_weights(tmp_path)), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "seen.onnx").graph
    assert onnx.TensorProto.FLOAT16 not in {tensor.data_type for tensor in graph.initializer}


def test_without_the_full_file_there_is_nothing_to_halve(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"from the fp32 files; .* has none\. Call export_onnx first"):
        write_half_weights(tmp_path)


@pytest.mark.parametrize("value", [70_000.0, np.nan])
def test_a_weight_beyond_the_range_is_refused_and_the_old_file_stays(tmp_path: Path, value: float) -> None:
    model = tiny_classifier()
    path = export_onnx(model, TOKENIZER, tmp_path)
    old = write_half_weights(tmp_path).read_bytes()
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[0, 0] = value
    graph = onnx.load(path)
    weight = next(tensor for tensor in graph.graph.initializer if tensor.name.endswith("word_embeddings.weight"))
    changed = model.bert.embeddings.word_embeddings.weight.detach().numpy()
    weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
    onnx.save(graph, path)
    with pytest.raises(
        ExportError, match=r"must lie within \+-65504; .*word_embeddings.weight holds .*\. Keep the fp32"
    ):
        write_half_weights(tmp_path)
    assert (tmp_path / "onnx" / "model_fp16.onnx").read_bytes() == old
