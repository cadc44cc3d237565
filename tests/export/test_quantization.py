"""The int8 file is a smaller, runnable file of the same model."""

import itertools
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.tiny_text import WORDS, tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import ExportError, InvalidConfigError
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity, open_session
from optimum_ose.export.quantization import quantize_dynamic_int8, quantize_static_int8

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


def test_static_int8_answers_a_text_in_company_as_it_does_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_classifier(hidden_size=64, intermediate_size=512)
    full = export_onnx(model, TOKENIZER, tmp_path)
    texts = [f"{first} {second} {third}" for first, second, third in itertools.permutations(WORDS[-9:], 3)]
    rows = [dict(TOKENIZER(text)) for text in texts]

    def changes(path: Path) -> float:
        """How far the logits of the first text move when the others join it."""
        session = open_session(path)
        batches = (list(TOKENIZER(batch, padding=True, return_tensors="np").items()) for batch in (texts[:1], texts))
        names = {item.name for item in session.get_inputs()}
        alone, together = (session.run(None, {k: v for k, v in batch if k in names})[0] for batch in batches)
        return float(np.abs(alone[0] - together[0]).max())

    dynamic = changes(quantize_dynamic_int8(tmp_path))
    with caplog.at_level(logging.WARNING):
        small = quantize_static_int8(tmp_path, rows, tokenizer=TOKENIZER)
    assert changes(small) < 1e-6 < dynamic
    assert small.stat().st_size < 0.5 * full.stat().st_size
    assert check_parity(model, small, TOKENIZER, tolerance=0.3).worst_difference > 1e-4
    assert not caplog.records


def test_static_int8_without_rows_says_what_to_do(tmp_path: Path) -> None:
    export_onnx(tiny_classifier(), TOKENIZER, tmp_path)
    with pytest.raises(InvalidConfigError, match="needs calibration rows; there are none"):
        quantize_static_int8(tmp_path, [], tokenizer=TOKENIZER)
    assert not (tmp_path / "onnx" / "model_quantized.onnx").exists()


def test_quantization_without_an_fp32_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"starts from onnx/model.onnx; .* has none\. Call export_onnx first"):
        quantize_dynamic_int8(tmp_path)
