"""Tiny classifiers with random weights, of several model types."""

import torch
from transformers import (
    AutoModelForSequenceClassification,
    DistilBertConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

SHARED_HEADS = {"num_key_value_heads": 2, "head_dim": 6, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def teacher_of(kind: type[PretrainedConfig]) -> PreTrainedModel:
    sizes = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 60}
    inner = {"hidden_dim": 40} if kind is DistilBertConfig else {"intermediate_size": 40}
    shared = SHARED_HEADS if kind in (LlamaConfig, Qwen3Config) else {}
    config = kind(**sizes, **inner, **shared, max_position_embeddings=40, num_labels=3, initializer_range=0.2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config).eval()
