"""Tiny text models with random weights large enough that errors show, and a word-piece tokenizer for them."""

from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tiny_tokenizer import SPECIAL, word_piece_tokenizer

WORDS = [*SPECIAL, "the", "cat", "sat", "on", "a", "mat", "good", "bad", "movie", "##s", "##ing", "great", "film", "."]
BERT_SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.15,
    "pad_token_id": 0,
}


def tiny_tokenizer(*, segments: bool = True) -> PreTrainedTokenizerFast:
    return word_piece_tokenizer(WORDS, model_max_length=64, segments=segments)


def tiny_classifier(config: PretrainedConfig | None = None, *, seed: int = 0, **settings: object) -> PreTrainedModel:
    config = config or BertConfig(**{**BERT_SIZES, "num_labels": 3, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def save(model: PreTrainedModel, folder: Path, *, tokenizer: PreTrainedTokenizerFast | None = None) -> Path:
    model.save_pretrained(folder)
    tokenizer = tokenizer or tiny_tokenizer()
    tokenizer.save_pretrained(folder)
    return folder
