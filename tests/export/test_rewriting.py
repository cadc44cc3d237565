"""The rewritten graph is one that ONNX Runtime does not slow down again."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
from transformers import AlbertConfig

from export.tiny_text import BERT_SIZES, tiny_classifier, tiny_tokenizer
from optimum_ose.export import onnx_export
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.quantization import quantize_dynamic_int8

TOKENIZER = tiny_tokenizer()


def operators_in_the_runtime(path: Path, scratch: Path) -> list[str]:
    """What ONNX Runtime really runs: the graph after its own optimization."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(scratch).graph.node]


@pytest.mark.parametrize("rewritten", [True, False])
def test_the_runtime_adds_and_normalizes_in_two_operators(
    rewritten: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not rewritten:
        monkeypatch.setattr(onnx_export, "rewrite_for_runtime", lambda path: None)
    export_onnx(tiny_classifier(), TOKENIZER, tmp_path)
    operators = operators_in_the_runtime(quantize_dynamic_int8(tmp_path), tmp_path / "seen.onnx")
    joined, apart = operators.count("SkipLayerNormalization"), operators.count("LayerNormalization")
    assert joined + apart == 5
    assert (joined == 0) == rewritten


def test_no_layer_of_a_rewritten_graph_looks_up_sizes(tmp_path: Path) -> None:
    counts = []
    for depth in (1, 3):
        path = export_onnx(tiny_classifier(num_hidden_layers=depth), TOKENIZER, tmp_path)
        counts.append([node.op_type for node in onnx.load(path).graph.node].count("Shape"))
    assert counts[0] == counts[1]


def test_every_layer_that_shares_its_weights_becomes_int8(tmp_path: Path) -> None:
    config = AlbertConfig(**{**BERT_SIZES, "num_labels": 3, "embedding_size": 16})
    path = export_onnx(tiny_classifier(config), TOKENIZER, tmp_path)
    graph = onnx.load(quantize_dynamic_int8(tmp_path)).graph
    weights = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert [node.name for node in products if set(node.input) & weights] == []
    assert [node.op_type for node in graph.node].count("MatMulInteger") == 2 * 6 + 3
    assert path.stat().st_size > 1.5 * (tmp_path / "onnx/model_quantized.onnx").stat().st_size
