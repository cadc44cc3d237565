"""The int8 file is a smaller, runnable file of the same model."""

import logging
from pathlib import Path

import onnx
import pytest

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import ExportError
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity
from optimum_ose.export.quantization import quantize_dynamic_int8

TOKENIZER = tiny_tokenizer()


def test_the_int8_file_is_smaller_and_near_the_fp32_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_classifier(hidden_size=64, intermediate_size=512)
    full = export_onnx(model, TOKENIZER, tmp_path)
    with caplog.at_level(logging.WARNING):
        small = quantize_dynamic_int8(tmp_path)
    assert small == tmp_path / "onnx" / "model_quantized.onnx"
    assert small.stat().st_size < 0.5 * full.stat().st_size
    assert check_parity(model, small, TOKENIZER, tolerance=0.3).worst_difference > 1e-4
    products = [node.op_type for node in onnx.load(small).graph.node if "MatMul" in node.op_type]
    assert products.count("MatMulInteger") == 2 * 6 + 2
    assert not caplog.records


def test_quantization_without_an_fp32_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"starts from onnx/model.onnx; .* has none\. Call export_onnx first"):
        quantize_dynamic_int8(tmp_path)
