"""Tiny text models with random weights large enough that errors show, and a word-piece tokenizer for them."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
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
    backend = Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"],
    )


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
