"""Weights in 8 or 4 bits: small files that answer nearly as the model does, whatever shares a batch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from export_models import build_model, build_tokenizer
from transformers import ResNetConfig, ResNetForImageClassification

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.configuration import ExportConfig
from optimum_ose.exceptions import ExportError, UnsupportedModelError
from optimum_ose.export import weight_only
from optimum_ose.export.formats import write_files
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import measure_parity, open_session
from optimum_ose.export.sequence_parity import measure_sequence_parity
from optimum_ose.export.weight_only import quantize_weights
from optimum_ose.serving.graphs import files_beside

BITS = pytest.mark.parametrize("bits", [8, 4])


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@BITS
@pytest.mark.parametrize(
    ("name", "task"),
    [("bert", "text-classification"), ("gpt2", "text-generation"), ("llama", "text-generation"), ("vit", None)],
)
def test_products_and_tables_are_kept_in_few_bits(name: str, task: str | None, bits: Any, tmp_path: Path) -> None:
    model, tokenizer = build_model(name, task or "image-classification"), build_tokenizer(name)
    full = export_onnx(model, tokenizer, tmp_path)
    small = quantize_weights(tmp_path, bits)
    assert small.name == {8: "model_int8.onnx", 4: "model_q4.onnx"}[bits]
    assert small.stat().st_size < full.stat().st_size * {8: 0.6, 4: 0.5}[bits]
    found = operators(small)
    assert "MatMulNBits" in found
    assert ("GatherBlockQuantized" in found) == (tokenizer is not None)
    parity = measure_parity(model, small, tokenizer)
    assert 0 < parity.worst_difference < parity.largest_output * {8: 0.1, 4: 0.7}[bits]


def test_a_weight_is_off_by_half_a_step_of_its_block_at_most(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((64, 48), dtype=np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0)],
        "table",
        [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, [None])],
        [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, [None, 64])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(weight.T), "table")],
    )
    (tmp_path / "onnx").mkdir()
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "onnx" / "model.onnx",
    )
    for bits, steps in ((8, 255), (4, 15)):
        session = open_session(quantize_weights(tmp_path, bits))
        (rows,) = session.run(None, {"ids": np.arange(48)})
        blocks = weight.T.reshape(48, 2, 32)
        step = (np.maximum(blocks.max(-1), 0) - np.minimum(blocks.min(-1), 0)) / steps
        # Half a step for the number, and half a step for the zero point of its block.
        assert (np.abs(rows.reshape(48, 2, 32) - blocks).max(-1) <= 1.01 * step).all()


@BITS
def test_an_answer_does_not_depend_on_the_rest_of_its_batch(bits: Any, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    export_onnx(tiny_classifier(hidden_size=64), tokenizer, tmp_path)
    session = open_session(quantize_weights(tmp_path, bits), num_threads=1)
    names = [item.name for item in session.get_inputs()]
    texts = tokenizer(["the cat sat on a mat .", "great film", "bad movies"], padding=True, return_tensors="np")
    (whole,) = session.run(None, {name: texts[name] for name in names})
    (alone,) = session.run(None, {name: texts[name][:1] for name in names})
    np.testing.assert_allclose(alone[0], whole[0], atol=1e-6)


@BITS
def test_an_encoder_with_its_decoder_gets_both_files(bits: Any, tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = tiny_tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer), d_model=64, d_kv=16, d_ff=64, num_layers=1, num_heads=4, decoder_start_token_id=0
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(config).eval()
    export_onnx(model, tokenizer, tmp_path)
    encoder, decoder = files_beside(quantize_weights(tmp_path, bits))
    parity = measure_sequence_parity(model, encoder, decoder, tokenizer)
    assert 0 < parity.worst_difference < 0.5 * parity.largest_output


def test_what_cannot_be_quantized_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match=r"from the fp32 files; .* has none\. Call export_onnx first"):
        quantize_weights(tmp_path, 4)
    monkeypatch.setattr(weight_only, "_SMALLEST", 10**9)
    export_onnx(tiny_classifier(), tiny_tokenizer(), tmp_path)
    with pytest.raises(ExportError, match=r"model.onnx must have a product or table with at least .* it has none"):
        quantize_weights(tmp_path, 8)


def test_a_model_of_convolutions_is_refused_before_it_is_written(tmp_path: Path) -> None:
    model = ResNetForImageClassification(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).eval()
    with pytest.raises(UnsupportedModelError, match=r"products and tables, .*; ResNetForImageClassification has none"):
        write_files(model, None, tmp_path, ExportConfig(weight_only=("int4",)), calibration_rows=lambda: ())
    assert not list(tmp_path.iterdir())


def test_an_older_runtime_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(weight_only.kernels, "quantize_matmul_8bits")
    with pytest.raises(UnsupportedModelError, match=r"MatMulNBits for 8 bits; the installed one has none\. Update"):
        quantize_weights(tmp_path, 8)
