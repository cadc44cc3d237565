"""A new head for sets of classes starts at their frequencies, and learns at a rate of its own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature
from transformers import (
    CONFIG_MAPPING,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    PretrainedConfig,
    RobertaConfig,
    TrainingArguments,
)

from optimum_ose import OSEOptimizer
from optimum_ose.finetuning.new_head import HEAD_RATE, raise_head_rate, start_at_frequencies
from optimum_ose.finetuning.trainer import build_trainer
from optimum_ose.optimizer.trainer_arguments import teacher_arguments
from themes import VOCABULARY, word_tokenizer

SIZES = {"vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
CONFIGS = [
    BertConfig(**SIZES, intermediate_size=32, num_labels=3),
    RobertaConfig(**SIZES, intermediate_size=32, num_labels=3),
    DistilBertConfig(vocab_size=len(VOCABULARY), dim=32, hidden_dim=32, n_layers=1, n_heads=2, num_labels=3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_the_bias_is_the_log_odds_of_each_class(config: PretrainedConfig) -> None:
    model = AutoModelForSequenceClassification.from_config(config)
    start_at_frequencies(model, [[1.0, 0.0, 0.0]] * 4 + [[1.0, 1.0, 0.0]] * 4)
    (bias,) = (weights for weights in model.parameters() if weights.shape == (3,))
    assert bias.tolist() == pytest.approx(np.log([9 / 1, 5 / 5, 1 / 9]).tolist(), abs=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_the_head_learns_at_a_multiple_of_the_rate(config: PretrainedConfig, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_config(config)
    model.config.problem_type = "multi_label_classification"
    rows = Dataset.from_dict({"input_ids": [[2, 3]], "attention_mask": [[1, 1]], "labels": [[0.0, 1.0, 0.0]]})
    args = TrainingArguments(str(tmp_path), learning_rate=1e-3, report_to="none", dataloader_pin_memory=False)
    trainer = build_trainer(model, args, train_dataset=rows, eval_dataset=rows, tokenizer=word_tokenizer())
    raise_head_rate(trainer)
    rate = {id(weights): group["lr"] for group in trainer.optimizer.param_groups for weights in group["params"]}
    body = {id(weights) for weights in model.base_model.parameters()}
    assert all(
        rate[id(weights)] == pytest.approx(1e-3 if id(weights) in body else HEAD_RATE * 1e-3)
        for weights in model.parameters()
    )


def test_a_bare_encoder_learns_many_sparse_classes(tmp_path: Path) -> None:
    words = VOCABULARY[5:35]
    generator = np.random.default_rng(0)
    labels = [sorted(generator.choice(len(words), size=generator.integers(1, 4), replace=False)) for _ in range(700)]
    features = Features({"text": Value("string"), "label": ListFeature(ClassLabel(names=list(words)))})
    texts = [" ".join(words[index] for index in label) for label in labels]
    rows = Dataset.from_dict({"text": texts, "label": labels}, features=features)
    config = BertConfig(
        **{**SIZES, "hidden_size": 64},
        intermediate_size=64,
        num_labels=len(words),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(config)
        optimizer = OSEOptimizer(model, word_tokenizer(), task="text-classification", has_head=False, max_length=16)
        train, held_out = rows.select(range(600)), rows.select(range(600, 700))
        optimizer.finetune_teacher(
            train, held_out, teacher_arguments(tmp_path, config, {}, num_rows=len(train), are_sets=True)
        )
    assert optimizer.score(model, held_out) > 0.5


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "electra"])
def test_a_bare_encoder_of_random_weights_learns_eighty_rows(model_type: str, tmp_path: Path) -> None:
    words = VOCABULARY[5:35]
    generator = np.random.default_rng(1)
    labels = [row % 2 for row in range(120)]
    halves = (words[:15], words[15:])
    texts = [" ".join(generator.choice(halves[label], size=4)) for label in labels]
    rows = Dataset.from_dict({"text": texts, "label": labels}).cast_column("label", ClassLabel(names=["us", "US"]))
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
    config = CONFIG_MAPPING[model_type](vocab_size=len(VOCABULARY), **sizes, num_labels=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(config)
        optimizer = OSEOptimizer(model, word_tokenizer(), task="text-classification", has_head=False, max_length=16)
        train, held_out = rows.select(range(80)), rows.select(range(80, 120))
        optimizer.finetune_teacher(train, held_out, teacher_arguments(tmp_path, config, {}, num_rows=len(train)))
    assert optimizer.score(model, held_out) > 0.9
    assert list(model.config.label2id) == ["us", "US"]


@pytest.mark.parametrize(("num_epochs", "num_rows", "expected"), [(1, 80, 0), (5, 80, 1), (5, 10_000, 20)])
def test_the_rate_rises_over_a_tenth_of_a_short_training(
    num_epochs: int, num_rows: int, expected: int, tmp_path: Path
) -> None:
    overrides = {"num_train_epochs": num_epochs}
    assert teacher_arguments(tmp_path, BertConfig(), overrides, num_rows=num_rows).warmup_steps == expected
    kept = teacher_arguments(tmp_path, BertConfig(), {**overrides, "warmup_steps": 7}, num_rows=num_rows)
    assert kept.warmup_steps == 7
