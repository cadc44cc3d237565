"""A student can inherit the layers that its teacher would miss most."""

from typing import Any

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
)

from optimum_ose import Architecture, OSEOptimizer, SearchConfig
from optimum_ose.configuration import LayerSelection
from optimum_ose.distillation.layer_scores import block_influence
from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.inheritance import run_ends
from themes import VOCABULARY, theme_table, word_tokenizer

TEXT = Dataset.from_dict(
    {"text": theme_table(48, seed=5)["text"].to_list(), "label": [0, 1, 2] * 16},
    features=Features({"text": Value("string"), "label": ClassLabel(num_classes=3)}),
)
AUTO = {"text-classification": AutoModelForSequenceClassification, "text-generation": AutoModelForCausalLM}
NUM_LAYERS = 4


def teacher_with_an_idle_layer(task: str, idle: int) -> PreTrainedModel:
    """A random network of which one layer adds nothing to the residual stream."""
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=24,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=40,
        initializer_range=0.2,
        pad_token_id=0,
        num_labels=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        teacher = AUTO[task].from_config(config).eval()
    layer = teacher.model.layers[idle]
    torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
    torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return teacher


def answers(model: PreTrainedModel) -> torch.Tensor:
    inputs = word_tokenizer()(TEXT["text"][:8], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    return logits if logits.ndim == 2 else logits[inputs["attention_mask"].bool()]


def shallower(num_layers: int) -> Architecture:
    sizes = {"hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 40}
    return Architecture({"num_hidden_layers": num_layers, **sizes})


@pytest.mark.parametrize("task", AUTO)
@pytest.mark.parametrize("selection", ["block-influence", "loss-when-dropped"])
def test_a_layer_that_does_nothing_is_the_first_to_go(task: str, selection: LayerSelection) -> None:
    idle = next(layer for layer in run_ends(NUM_LAYERS, 3) if layer < NUM_LAYERS - 1)
    teacher = teacher_with_an_idle_layer(task, idle)
    optimizer = OSEOptimizer(teacher, word_tokenizer(), task=task)

    def distance(**choice: Any) -> float:
        student = optimizer.initialize(shallower(3), calibration_dataset=TEXT, **choice)
        return float((answers(student) - answers(teacher)).norm() / answers(teacher).norm())

    assert distance(layer_selection=selection) < 1e-3 < 0.1 < distance()


@pytest.mark.parametrize("selection", ["block-influence", "loss-when-dropped"])
def test_at_the_teachers_own_size_the_student_is_the_teacher(selection: LayerSelection) -> None:
    teacher = teacher_with_an_idle_layer("text-classification", 1)
    optimizer = OSEOptimizer(teacher, word_tokenizer(), task="text-classification")
    student = optimizer.initialize(shallower(NUM_LAYERS), calibration_dataset=TEXT, layer_selection=selection)
    assert torch.equal(answers(student), answers(teacher))


def test_padding_has_no_influence() -> None:
    teacher = teacher_with_an_idle_layer("text-classification", 1)
    texts = TEXT["text"][:4]
    short, long = (
        [dict(word_tokenizer()(texts, padding="max_length", max_length=length, return_tensors="pt"))]
        for length in (24, 32)
    )
    for batches in (short, long):
        batches[0].pop("token_type_ids", None)
    assert torch.allclose(block_influence(teacher, short), block_influence(teacher, long), atol=1e-5)
    assert block_influence(teacher, short)[1] < 1e-6


def test_a_selection_without_rows_to_measure_on_is_refused() -> None:
    teacher = teacher_with_an_idle_layer("text-classification", 0)
    optimizer = OSEOptimizer(teacher, word_tokenizer(), task="text-classification")
    with pytest.raises(InvalidConfigError, match="a selection of layers, needs calibration rows"):
        optimizer.initialize(shallower(2), layer_selection="block-influence")


def test_an_unknown_selection_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="layer_selection must be even, block-influence or loss-when-dropped"):
        SearchConfig(layer_selection="odd")  # type: ignore[arg-type]


def test_where_importance_cannot_be_measured_a_selection_is_refused() -> None:
    config = GPT2Config(vocab_size=len(VOCABULARY), n_positions=32, n_embd=32, n_layer=2, n_head=4, n_inner=64)
    teacher = AutoModelForCausalLM.from_config(config).eval()
    optimizer = OSEOptimizer(teacher, word_tokenizer(), task="text-generation")
    whole = optimizer.search_space().maximum_point
    with pytest.raises(UnsupportedModelError, match="separate queries, keys and values"):
        optimizer.initialize(whole, calibration_dataset=TEXT, layer_selection="block-influence")
