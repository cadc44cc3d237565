"""A tiny language of two themes, a tokenizer for it, and a labeler that has learned to tell the themes apart."""

import datasets
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from tiny_tokenizer import SPECIAL, word_piece_tokenizer

ANIMALS = ("cat", "dog", "cow", "hen", "fox", "owl", "bee", "ant")
TOOLS = ("saw", "axe", "pen", "cup", "jar", "pan", "key", "bag")
FILLERS = ("the", "a", "one", "this", "that", "some", "old", "new", "big", "tiny", "red", "blue")
VOCABULARY = (*SPECIAL, *ANIMALS, *TOOLS, *FILLERS, "##s", "##let", "##y", "7", "8", "9", "?", "[unused0]")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return word_piece_tokenizer(VOCABULARY)


@pytest.fixture(scope="session")
def make_dataset(tokenizer):
    """Sentences of fillers around one animal (label 0) or one tool (label 1)."""

    def make(num_rows: int, seed: int, num_labels: int = 2) -> datasets.Dataset:
        generator = np.random.default_rng(seed)
        labels = [int(label) for label in generator.integers(num_labels, size=num_rows)]
        texts = []
        for label in labels:
            words = list(generator.choice(FILLERS, size=generator.integers(2, 8)))
            words.insert(int(generator.integers(len(words) + 1)), str(generator.choice((ANIMALS, TOOLS)[label % 2])))
            texts.append(" ".join(words))
        return datasets.Dataset.from_dict({**tokenizer(texts), "labels": labels})

    return make


@pytest.fixture(scope="session")
def make_model():
    """A BERT of two layers, 16 wide, with dropout; the seed decides its weights, the global generator stays."""

    def make(seed: int, **settings) -> BertForSequenceClassification:
        config = BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
            initializer_range=0.2,
            **{"num_labels": 2, **settings},
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return BertForSequenceClassification(config)

    return make


@pytest.fixture(scope="session")
def labeler(make_model, make_dataset, tokenizer):
    """Trained on 256 rows of its own; right on nearly every other row."""
    model = make_model(1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    rows = make_dataset(256, seed=99)
    batch = tokenizer.pad({name: rows[name] for name in rows.column_names}, return_tensors="pt")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="session")
def train(make_dataset):
    return make_dataset(24, seed=0)


@pytest.fixture(scope="session")
def dev(make_dataset):
    return make_dataset(20, seed=1)
