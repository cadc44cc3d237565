"""A tiny task that a tiny teacher has learned: which of three themes a short text is about."""

import numpy as np
import pandas as pd
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from tiny_tokenizer import SPECIAL, word_piece_tokenizer

THEMES = {
    "animals": ("cat", "dog", "cow", "hen", "fox", "owl", "bee", "ant"),
    "food": ("rice", "soup", "bread", "egg", "corn", "jam", "tea", "pie"),
    "tools": ("saw", "axe", "pen", "cup", "jar", "pan", "key", "bag"),
}
FILLERS = ("the", "a", "one", "this", "that", "some", "old", "new", "big", "tiny", "red", "blue", "my", "your")
VOCABULARY = (*SPECIAL, *FILLERS, *(word for words in THEMES.values() for word in words))


def theme_table(num_rows: int, seed: int) -> pd.DataFrame:
    """Distinct rows of a word of one theme among fillers."""
    generator = np.random.default_rng(seed)
    rows: dict[str, str] = {}
    while len(rows) < num_rows:
        theme = str(generator.choice(list(THEMES)))
        words = [str(word) for word in generator.choice(FILLERS, size=generator.integers(3, 9))]
        words.insert(int(generator.integers(len(words) + 1)), str(generator.choice(THEMES[theme])))
        rows[" ".join(words)] = theme
    return pd.DataFrame({"text": list(rows), "label": list(rows.values())})


def word_tokenizer() -> PreTrainedTokenizerFast:
    return word_piece_tokenizer(VOCABULARY, model_max_length=32)


def teacher_config(**settings: object) -> BertConfig:
    sizes = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 32,
        "initializer_range": 0.15,
        "num_labels": len(THEMES),
        "id2label": dict(enumerate(THEMES)),
        "label2id": {theme: index for index, theme in enumerate(THEMES)},
    }
    return BertConfig(**{**sizes, **settings})


def trained_teacher() -> PreTrainedModel:
    tokenizer, table = word_tokenizer(), theme_table(256, seed=99)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForSequenceClassification(teacher_config())
        batch = tokenizer(table["text"].to_list(), padding=True, return_tensors="pt")
        labels = torch.tensor([list(THEMES).index(theme) for theme in table["label"]])
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
    return model.eval()
