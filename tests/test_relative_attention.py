"""DeBERTa, whose attention looks up relative positions, is counted, searched, distilled and exported as others are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification, DebertaConfig, DebertaV2Config, PreTrainedModel

from optimum_ose import DistillationConfig, ExportConfig, OSEOptimizer, SearchConfig, derive_search_space
from optimum_ose.serving import OnnxPipeline
from themes import THEMES, VOCABULARY, theme_table, word_tokenizer

TRAIN, DEV = (Dataset.from_pandas(theme_table(24, seed)) for seed in (1, 2))
SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
    "type_vocab_size": 0,
    "pooler_hidden_size": 32,
    "id2label": dict(enumerate(THEMES)),
    "label2id": {theme: index for index, theme in enumerate(THEMES)},
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
}
VERSION_3 = {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "position_biased_input": False}
CONFIGS: Mapping[str, tuple[type[DebertaConfig | DebertaV2Config], dict[str, Any]]] = {
    "v1": (DebertaConfig, {}),
    "v2": (DebertaV2Config, {}),
    "v2, keys shared": (DebertaV2Config, {"share_att_key": True}),
    "v3": (DebertaV2Config, VERSION_3),
}


def teacher(name: str) -> PreTrainedModel:
    kind, settings = CONFIGS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = kind(**SIZES, **settings, initializer_range=0.2)
        return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_sizes_and_operations_are_those_of_the_built_model(name: str) -> None:
    model = teacher(name)
    space = derive_search_space(model.config, task="text-classification")
    own = [space.maximum_point]
    assert space.parameter_size(own)[0] == sum(tensor.numel() for tensor in model.parameters())
    model.requires_grad_(False)
    ids = torch.full((1, 12), 7)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert space.multiply_adds(own, sequence_length=12)[0] == counter.get_total_flops() // 2


@pytest.mark.parametrize("name", ["v1", "v2", "v3"])
def test_the_whole_way(name: str, tmp_path: Path) -> None:
    optimizer = OSEOptimizer(teacher(name), word_tokenizer(), task="text-classification", max_length=16)
    settings = SearchConfig(max_training_steps=1, max_evaluations=2, num_eval_rows=8, sequence_length=16)
    found = optimizer.extract(settings, train_dataset=TRAIN, eval_dataset=DEV)
    student = optimizer.initialize(found)
    optimizer.distill(student, TRAIN, DistillationConfig(num_steps=2, batch_size=8))
    optimizer.export(student, tmp_path / "out", ExportConfig(quantization="none"))  # refused without parity
    assert optimizer.served_scores(tmp_path / "out", DEV) == pytest.approx(optimizer.scores(student, DEV), abs=0.002)
    answers = OnnxPipeline.from_pretrained(tmp_path / "out")(["the cat", "one old red saw with that big cup"])
    assert {answer["label"] for answer in answers} <= set(THEMES)
