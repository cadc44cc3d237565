"""Tiny classifiers with random weights, of several model types."""

import torch
from transformers import AutoModelForSequenceClassification, DistilBertConfig, PretrainedConfig, PreTrainedModel


def teacher_of(kind: type[PretrainedConfig]) -> PreTrainedModel:
    sizes = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 60}
    inner = {"hidden_dim": 40} if kind is DistilBertConfig else {"intermediate_size": 40}
    config = kind(**sizes, **inner, max_position_embeddings=40, num_labels=3, initializer_range=0.2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config).eval()
