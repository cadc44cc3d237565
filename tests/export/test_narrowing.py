"""What a head never reads is not computed, and nothing else changes."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
import torch
from transformers import AutoModelForTokenClassification, BertConfig, DistilBertConfig, PretrainedConfig, RobertaConfig

from export.tiny_text import BERT_SIZES, WORDS, tiny_classifier, tiny_tokenizer
from optimum_ose.export.narrowing import narrow_to_read_tokens
from optimum_ose.export.onnx_export import export_onnx

TOKENIZER = tiny_tokenizer()
SMALL = {"vocab_size": len(WORDS), "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
BATCH, TOKENS = 3, 11


def rows_by_product(model: onnx.ModelProto) -> dict[str, int]:
    """Tokens for which each product with a weight is computed, by name of the operator."""
    weights = {tensor.name for tensor in model.graph.initializer}
    products = {n.output[0]: n.name for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in weights}
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in products)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {item.name: np.ones((BATCH, TOKENS), dtype=np.int64) for item in session.get_inputs()}
    found = session.run([*products], feeds)
    return {products[name]: array.shape[1] for name, array in zip(products, found, strict=True)}


def graph(body: str, outputs: str = "float[b, w] y") -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[b, s, w] x) => ({outputs}) {{\n'
        f"zero = Constant <value = int64 {{0}}> ()\none = Constant <value = int64 {{1}}> ()\n{body}\n}}"
    )


def outputs_of(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


@pytest.mark.parametrize(
    "config",
    [BertConfig(**BERT_SIZES), RobertaConfig(**BERT_SIZES), DistilBertConfig(**SMALL)],
    ids=lambda c: c.model_type,
)
def test_the_last_layer_of_a_classifier_computes_keys_and_values_of_all_tokens_and_the_rest_of_one(
    config: PretrainedConfig, tmp_path: Path
) -> None:
    rows = rows_by_product(onnx.load(export_onnx(tiny_classifier(config), TOKENIZER, tmp_path)))
    layers = [{k: v for k, v in rows.items() if f"layer.{index}/" in k} for index in range(2)]
    assert set(layers[0].values()) == {TOKENS}
    assert len(layers[0]) == len(layers[1]) == 6
    assert sorted(layers[1].values()) == [1, 1, 1, 1, TOKENS, TOKENS]
    assert all(("/k" in name or "/v" in name) == (count > 1) for name, count in layers[1].items())


def test_a_head_that_reads_every_token_keeps_every_token(tmp_path: Path) -> None:
    model = AutoModelForTokenClassification.from_config(BertConfig(**BERT_SIZES))
    assert set(rows_by_product(onnx.load(export_onnx(model, TOKENIZER, tmp_path))).values()) == {TOKENS}


@pytest.mark.parametrize(
    ("body", "outputs", "expected"),
    [
        ("a = Erf(x)\ny = Gather <axis = 1> (a, zero)", "float[b, w] y", 1),
        ("a = Erf(x)\nt = Tanh(a)\nm = Mul(t, a)\ny = Gather <axis = 1> (m, zero)", "float[b, w] y", 3),
        ("a = Erf(x)\nt = Tanh(a)\ny = Gather <axis = 1> (t, zero)", "float[b, w] y, float[b, s, w] a", 1),
        ("a = Erf(x)\nz = Tanh(a)\ny = Gather <axis = 1> (a, zero)", "float[b, w] y, float[b, s, w] z", 0),
        ("a = Erf(x)\ny = Gather <axis = 1> (a, one)", "float[b, w] y", 0),
        ("a = Erf(x)\ny = Gather <axis = 0> (a, zero)", "float[s, w] y", 0),
        ("a = Softmax <axis = 1> (x)\ny = Gather <axis = 1> (a, zero)", "float[b, w] y", 0),
        ("a = CumSum(x, one)\nt = Tanh(a)\ny = Gather <axis = 1> (t, zero)", "float[b, w] y", 1),
    ],
    ids=[
        "one operator",
        "a tensor that is read twice, narrowed both times",
        "up to a tensor that is an output",
        "not a tensor that others read whole",
        "not the second token",
        "not the first row of the batch",
        "not a softmax over the tokens",
        "up to an operator that mixes tokens",
    ],
)
def test_only_what_depends_on_the_first_token_alone_is_narrowed(body: str, outputs: str, expected: int) -> None:
    model, x = graph(body, outputs), np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    before = outputs_of(model, x)
    assert narrow_to_read_tokens(model) == expected
    onnx.checker.check_model(model, full_check=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, outputs_of(model, x), strict=True))
    assert len([node for node in model.graph.node if node.op_type == "Slice"]) == (expected > 0)


def test_a_constant_that_differs_from_token_to_token_is_cut_with_them() -> None:
    model = graph("p = Add(x, table)\ny = Gather <axis = 1> (p, zero)").graph
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    model.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    whole = onnx.helper.make_model(model, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(0).standard_normal((2, 5, 2)).astype(np.float32)
    (before,) = outputs_of(whole, x)
    assert narrow_to_read_tokens(whole) == 1
    assert np.array_equal(before, outputs_of(whole, x)[0])


def test_a_graph_with_a_branch_is_left_alone() -> None:
    model = graph(
        "c = Constant <value = bool {1}> ()\na = Erf(x)\n"
        "h = If (c) <then_branch = t () => (float[b, s, w] u) {u = Tanh(a)}, "
        "else_branch = e () => (float[b, s, w] v) {v = Neg(a)}>\n"
        "y = Gather <axis = 1> (h, zero)"
    )
    before = model.SerializeToString()
    assert narrow_to_read_tokens(model) == 0
    assert model.SerializeToString() == before


def test_what_padding_hides_stays_hidden(tmp_path: Path) -> None:
    model = tiny_classifier()
    session = onnxruntime.InferenceSession(export_onnx(model, TOKENIZER, tmp_path), providers=["CPUExecutionProvider"])
    ids, mask = torch.randint(5, len(WORDS), (2, 9)), torch.ones(2, 9, dtype=torch.int64)
    mask[1, 4:] = 0
    padded = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    changed = {**padded, "input_ids": torch.where(mask == 1, ids, 5)}
    first, second = (session.run(None, {k: v.numpy() for k, v in inputs.items()})[0] for inputs in (padded, changed))
    np.testing.assert_allclose(first, second, atol=1e-6)
