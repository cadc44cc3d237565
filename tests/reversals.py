"""Small tasks of texts for texts, a tokenizer for them, and tiny models that learn them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

WORDS = ("red", "blue", "green", "dog", "cat", "bird", "runs", "eats")
VOCABULARY = ("<pad>", "</s>", "<unk>", *WORDS, *(word.upper() for word in WORDS))
SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "forced_eos_token_id": None,
    "init_std": 0.3,
}


def t5(**sizes: Any) -> PreTrainedModel:
    settings = {"d_model": 48, "d_kv": 12, "d_ff": 96, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0, **sizes}
    tokens = {"vocab_size": len(VOCABULARY), "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    return made(lambda: T5ForConditionalGeneration(T5Config(**settings, **tokens)))


def bart() -> PreTrainedModel:
    return made(lambda: BartForConditionalGeneration(BartConfig(**SIZES)))


def marian() -> PreTrainedModel:
    return made(lambda: MarianMTModel(MarianConfig(**SIZES)))


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "t5": lambda: t5(tie_word_embeddings=False),
    "bart": bart,
    "marian": marian,
}


def made(make: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def tokenizer() -> PreTrainedTokenizerFast:
    """Of whole words; a text ends with `</s>`, as T5's do."""
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        model_max_length=32,
        model_input_names=["input_ids", "attention_mask"],
    )


def pairs(count: int, *, seed: int) -> Dataset:
    """Short texts of different words, and the same in capitals."""
    draw = random.Random(seed)
    texts = [" ".join(draw.sample(WORDS, draw.randint(2, 4))) for _ in range(count)]
    return Dataset.from_dict({"text": texts, "target": [text.upper() for text in texts]})


def trained(model: PreTrainedModel, rows: Dataset, *, steps: int, rate: float = 5e-3) -> PreTrainedModel:
    """The model after it has learned to write the targets."""
    tokens = tokenizer()
    adam = torch.optim.AdamW(model.parameters(), lr=rate)
    draw = random.Random(0)
    model.train()
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        chosen = draw.sample(range(len(rows)), 32)
        batch = tokens(rows[chosen]["text"], padding=True, return_tensors="pt")
        labels = tokens(rows[chosen]["target"], padding=True, return_tensors="pt")["input_ids"]
        loss = model(**batch, labels=labels.masked_fill(labels == 0, -100)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
    return model.eval()


def saved(model: PreTrainedModel, folder: Path) -> Path:
    if model.can_generate():
        model.generation_config.max_length = 21
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def write_files(folder: Path, *, rows: int = 400, source: str = "text", target: str = "target") -> Path:
    """A folder with train, validation and test as csv files."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, count) in enumerate((("train", rows), ("validation", 40), ("test", 40))):
        table = pairs(count, seed=seed).to_pandas().rename(columns={"text": source, "target": target})
        table.to_csv(folder / f"{split}.csv", index=False)
    return folder
