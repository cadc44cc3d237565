"""Classifiers that read from left to right are counted and exported as encoders are, whatever their config caches."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    XLNetConfig,
)

from export.tiny_text import WORDS, save, tiny_tokenizer
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity, open_session, session_outputs
from optimum_ose.modeling.building import build_on_meta
from optimum_ose.modeling.operations import count_multiply_adds
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.modeling.tokenizers import settle_padding
from optimum_ose.serving.pipeline import OnnxPipeline

TASK = "text-classification"
TOKENIZER = tiny_tokenizer(segments=False)
COMMON = {"vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "num_labels": 3}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
SHARED = {**COMMON, **SIZES, "max_position_embeddings": 64, "num_key_value_heads": 2, "initializer_range": 0.15}
DECODERS = {
    "GPT2": lambda **more: GPT2Config(**COMMON, n_embd=32, n_layer=2, n_head=4, n_positions=64, **more),
    "GPTNeoX": lambda **more: GPTNeoXConfig(**COMMON, **SIZES, max_position_embeddings=64, **more),
    "Llama": lambda **more: LlamaConfig(**SHARED, **more),
    "Mistral": lambda **more: MistralConfig(**SHARED, **more),
    "Qwen2": lambda **more: Qwen2Config(**SHARED, **more),
    "Qwen3": lambda **more: Qwen3Config(**SHARED, head_dim=8, **more),
}
XLNET = XLNetConfig(vocab_size=len(WORDS), d_model=32, n_layer=2, n_head=4, d_inner=48, pad_token_id=0, num_labels=3)


def counted(config: PretrainedConfig) -> int:
    return count_multiply_adds(build_on_meta(config, TASK), num_tokens=16)


@pytest.mark.parametrize("kind", DECODERS)
def test_costs_do_not_depend_on_whether_the_config_caches(kind: str) -> None:
    assert counted(DECODERS[kind](use_cache=False)) == counted(DECODERS[kind](use_cache=True)) > 0


def test_xlnet_is_counted() -> None:
    assert counted(XLNET) > 0


def test_a_model_of_few_positions_is_counted_at_lengths_that_it_takes() -> None:
    few, many = (BertConfig(vocab_size=30, **SIZES, max_position_embeddings=number, num_labels=3) for number in (6, 64))
    space = derive_search_space(few, task=TASK, num_hidden_layers=2, num_attention_heads=4)
    expected = count_multiply_adds(build_on_meta(many, TASK), num_tokens=6)
    assert space.multiply_adds([space.maximum_point], sequence_length=6).tolist() == [expected]


@pytest.mark.parametrize("kind", DECODERS)
def test_an_exported_decoder_answers_padded_batches_as_pytorch_answers_each_text(kind: str, tmp_path: Path) -> None:
    config = DECODERS[kind](use_cache=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(config).eval()
    path = export_onnx(model, TOKENIZER, tmp_path)
    assert check_parity(model, path, TOKENIZER, shapes=((1, 3), (4, 17)), seed=1).worst_difference < 1e-5
    texts = ["the cat sat on a mat .", "good movie", "a great film .", "bad"]
    batch = dict(TOKENIZER(texts, padding=True, return_tensors="pt"))
    found = session_outputs(open_session(path), batch)["logits"]
    with torch.inference_mode():
        alone = torch.cat([model(**TOKENIZER(text, return_tensors="pt")).logits for text in texts])
    assert torch.allclose(torch.from_numpy(found), alone, atol=1e-5)


def test_a_served_xlnet_answers_texts_together_as_pytorch_answers_each(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(XLNET).eval()
    tokenizer = tiny_tokenizer(segments=False)
    settle_padding(model.config, tokenizer, task=TASK)
    save(model, tmp_path, tokenizer=tokenizer)
    export_onnx(model, tokenizer, tmp_path)
    texts = ["the cat sat on a mat .", "good movie", "bad"]
    served = OnnxPipeline.from_pretrained(tmp_path)(texts)
    with torch.inference_mode():
        alone = [model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1).max().item() for text in texts]
    assert [answer["score"] for answer in served] == pytest.approx(alone, abs=1e-5)
