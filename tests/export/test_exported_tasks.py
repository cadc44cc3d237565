"""Every task that the export knows computes what its model computes; a small part of `benchmarks/export.py`."""

import csv
import importlib.util
import json
from pathlib import Path

import any_export
import export_models
import numpy as np
import onnxruntime
import pytest
import torch
import transformers
from transformers import AutoModel, AutoModelForCausalLM, BertConfig, GPT2Config, LlamaConfig, ViTConfig

from export.tiny_text import BERT_SIZES, WORDS, tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import ExportError, UnsupportedModelError
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity, open_session, torch_outputs
from optimum_ose.export.past import logits_in_parts, past_shapes
from optimum_ose.export.pooling import pool

# By path: its name is that of these tests' package.
specification = importlib.util.spec_from_file_location(
    "export_benchmark", Path(__file__).parents[2] / "benchmarks" / "export.py"
)
export = importlib.util.module_from_spec(specification)
specification.loader.exec_module(export)

TOKENIZER = tiny_tokenizer()
needs_causal_masks = pytest.mark.skipif(
    transformers.__version__ < "5", reason="transformers 4 makes causal masks that cannot be traced"
)
PAIRS = [
    ("bert", "question-answering"),
    ("roberta", "token-classification"),
    ("t5", "sentence-embedding"),
    ("swin", "image-classification"),
    ("wav2vec2", "audio-classification"),
    ("whisper", "audio-feature-extraction"),
    pytest.param("gemma3_text", "text-generation", marks=needs_causal_masks),
]


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_row_of_the_benchmark_says_that_the_file_is_right(name: str, task: str) -> None:
    row = export.examine(name, task, block_seconds=0.001)
    assert row["verdict"] == "ok", row["reason"]
    assert row["worst_difference"] < 1e-5 * max(1.0, row["largest_output"])
    assert row["worst_difference"] < row["int8_difference"]
    assert row["int8_bytes"] < row["fp32_bytes"]
    assert row["runtime_layer_norm"] > 0
    assert {*row, "reason"} == set(export.FIELDS)


def test_the_table_can_be_read_again_and_a_failure_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"type": "bert", "task": "fill-mask", "verdict": "failed", "reason": "too slow"}]
    export.write(rows, tmp_path / "rows.csv")
    export.write(rows, tmp_path / "rows.json")
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == ["too slow"]
    assert json.loads((tmp_path / "rows.json").read_text()) == rows
    assert export.summarize(rows, seconds=1.0) == 1
    assert "failed: bert fill-mask: too slow" in capsys.readouterr().out
    assert export.summarize([{**rows[0], "verdict": "refused"}], seconds=1.0) == 0


def test_the_benchmarks_name_at_least_25_types_and_every_task() -> None:
    listed = {name: found for name, found in export_models.MODEL_TYPES.items() if not found.is_refused}
    assert len(listed) >= 25
    assert len(any_export.TYPES) >= 40
    found = [*listed.values(), *any_export.TYPES.values()]
    assert {task for one in found for task in one.tasks} == set(export_models.CLASSES)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_pooling_reads_only_what_is_not_padding_on_either_side(pooling: str) -> None:
    states = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 6, 4)))
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    choose = {"mean": lambda rows: rows.mean(0), "first": lambda rows: rows[0], "last": lambda rows: rows[-1]}[pooling]
    expected = torch.stack([choose(row[kept == 1]) for row, kept in zip(states, mask, strict=True)])
    torch.testing.assert_close(pool(states, mask, pooling), expected)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_a_pooled_file_gives_token_vectors_and_one_vector_per_text(pooling: str, tmp_path: Path) -> None:
    model = AutoModel.from_config(BertConfig(**BERT_SIZES)).eval()
    session = open_session(export_onnx(model, TOKENIZER, tmp_path, pooling=pooling))
    assert [(item.name, item.shape) for item in session.get_outputs()] == [
        ("last_hidden_state", ["batch", "sequence", 32]),
        ("sentence_embedding", ["batch", 32]),
    ]
    other = "last" if pooling == "mean" else "mean"
    with pytest.raises(ExportError, match="must compute what the model computes"):
        check_parity(model, tmp_path / "onnx/model.onnx", TOKENIZER, pooling=other)


def test_pooling_a_head_or_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"without a head; this one gives logits\. Export the base model"):
        export_onnx(tiny_classifier(), TOKENIZER, tmp_path, pooling="mean")
    image = AutoModel.from_config(
        ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=16)
    )
    with pytest.raises(UnsupportedModelError, match=r"a text model with an attention mask; this one takes pixel"):
        export_onnx(image, None, tmp_path, pooling="mean")


GPT2 = GPT2Config(
    vocab_size=len(WORDS), n_embd=32, n_layer=2, n_head=4, n_positions=64, pad_token_id=0, initializer_range=0.15
)


@needs_causal_masks
@pytest.mark.parametrize(
    "config",
    [GPT2, LlamaConfig(**{**BERT_SIZES, "num_key_value_heads": 2})],
    ids=lambda config: config.model_type,
)
def test_a_text_may_come_in_any_parts_and_with_padding_on_the_left(
    config: transformers.PretrainedConfig, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_config(config).eval()
    session = onnxruntime.InferenceSession(export_onnx(model, TOKENIZER, tmp_path))
    heads = {item.name: item.shape[1] for item in session.get_inputs() if item.name.startswith("past")}
    assert set(heads) == {f"past_key_values.{layer}.{kind}" for layer in (0, 1) for kind in ("key", "value")}
    assert set(heads.values()) == {getattr(config, "num_key_value_heads", 4)}
    ids = np.random.default_rng(3).integers(5, len(WORDS), (2, 9))
    padded = np.concatenate([np.zeros((2, 4), dtype=np.int64), ids], axis=1)
    mask = (padded != 0).astype(np.int64)
    whole = torch_outputs(model, {"input_ids": torch.from_numpy(ids), "attention_mask": torch.ones(2, 9).long()})
    for ends in ((13,), (5, 13), (6, 7, 8, 13)):
        found = logits_in_parts(session, {"input_ids": padded, "attention_mask": mask}, ends)
        np.testing.assert_allclose(found[:, 4:], whole["logits"], atol=1e-5)


def test_a_model_that_is_no_decoder_keeps_no_past() -> None:
    assert past_shapes(tiny_classifier()) == ()
