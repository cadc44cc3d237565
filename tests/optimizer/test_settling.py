"""What a search leaves open is settled before it begins, is said, and stays settled."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    LlamaConfig,
    PreTrainedModel,
    ResNetConfig,
    ViTImageProcessor,
)

from optimum_ose import OSEOptimizer, SearchConfig
from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.optimizer.settling import settled, widened
from optimum_ose.progress import SilentListener
from themes import VOCABULARY, word_tokenizer


class Heard(SilentListener):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def optimizer(teacher_folder: Path, heard: Heard) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(teacher_folder, max_length=32, listener=heard)


SHORT: dict[str, Any] = {"sequence_length": 16}


def test_nothing_asked_for_means_inherited_weights_a_quarter_of_the_teacher_and_97_percent_of_its_score(
    optimizer: OSEOptimizer, heard: Heard
) -> None:
    found = settled(optimizer, SearchConfig(**SHORT))
    space = optimizer.search_space(found)
    whole = int(space.parameter_size([space.maximum_point], count_embeddings=False)[0])
    assert (found.method, found.keep, found.prefer) == ("inherited", 0.97, "w")
    assert found.max_non_embedding_parameters == whole // 4
    assert len(heard.said) == 1
    assert "at most 25% of the teacher's parameters" in heard.said[0]
    assert settled(optimizer, found) == found
    assert len(heard.said) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"keep": 0.9}, (0.9, "size")),
        ({"keep": 0.9, "prefer": "latency"}, (0.9, "latency")),
        ({"prefer": "size"}, (0.97, "size")),
        ({"keep": 0.0}, (0.0, None)),
        ({"max_parameters": 20_000}, (0.0, None)),
        ({"max_error": 1.0}, (0.0, None)),
        ({"max_latency_ms": 5.0}, (0.0, None)),
        ({"objective": "error", "max_parameters": 20_000}, (0.0, None)),
        ({"keep": 0.9, "max_parameters": 20_000}, (0.9, "size")),
    ],
)
def test_a_share_is_kept_where_it_is_asked_for_or_nothing_else_is(
    optimizer: OSEOptimizer, given: dict[str, Any], expected: tuple[float, str | None]
) -> None:
    found = settled(optimizer, SearchConfig(**SHORT, **given))
    assert (found.keep, found.prefer) == expected
    assert found.method == "inherited"


def test_weights_are_shared_where_that_is_set(optimizer: OSEOptimizer) -> None:
    assert settled(optimizer, SearchConfig(**SHORT, elastic=ElasticSetting(num_steps=3))).method == "elastic"


@pytest.mark.parametrize(("widths", "method"), [((4, 8), "elastic"), ((8,), "inherited")])
def test_weights_are_shared_where_some_candidates_cannot_be_ranked(widths: tuple[int, ...], method: str) -> None:
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        head_dim=8,
        pad_token_id=0,
        max_position_embeddings=32,
    )
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    optimizer = OSEOptimizer(model, word_tokenizer(), task="text-classification")
    assert settled(optimizer, SearchConfig(**SHORT, axes={"head_dim": widths})).method == method


def test_all_sizes_are_admitted_in_the_end_unless_the_user_bounds_them(optimizer: OSEOptimizer) -> None:
    space, found = optimizer.search_space(), settled(optimizer, SearchConfig(**SHORT))
    wider = widened(space, found)
    assert wider is not None
    assert wider.max_non_embedding_parameters == space.parameter_size([space.maximum_point], count_embeddings=False)[0]
    assert widened(space, wider) is None
    bounded = settled(optimizer, SearchConfig(**SHORT, keep=0.9, max_non_embedding_parameters=20_000))
    assert widened(space, bounded) is None
    assert widened(space, replace(found, method="elastic")) is None


def test_a_bound_of_the_user_stays_and_the_least_error_may_be_as_large_as_it_admits(optimizer: OSEOptimizer) -> None:
    bound = SearchConfig(**SHORT, max_non_embedding_parameters=20_000)
    assert settled(optimizer, bound).max_non_embedding_parameters == 20_000
    least = SearchConfig(**SHORT, objective="error", max_parameters=20_000)
    assert settled(optimizer, least).max_non_embedding_parameters is None


@pytest.mark.parametrize(
    "given", [{"max_training_steps": 3}, {"batch_size": 8}, {"noise": 0.1}, {"layer_selection": "block-influence"}]
)
def test_settings_of_short_trainings_choose_them(optimizer: OSEOptimizer, heard: Heard, given: dict[str, Any]) -> None:
    found = settled(optimizer, SearchConfig(**SHORT, **given))
    assert (found.method, found.keep) == ("certified", 0.0)
    assert "settings that only short trainings have" in heard.said[0]
    with pytest.raises(InvalidConfigError, match="keep needs the method elastic"):
        SearchConfig(**SHORT, **given, keep=0.9)


def test_candidates_that_are_no_parts_of_shared_weights_are_trained_alone_and_that_is_said(heard: Heard) -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="basic", num_labels=2)
    model: PreTrainedModel = AutoModelForImageClassification.from_config(config)
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    optimizer = OSEOptimizer(model, processor, task="image-classification", listener=heard)
    found = settled(optimizer, SearchConfig(prefer="latency"))
    assert (found.method, found.keep) == ("certified", 0.0)
    assert "each candidate is trained alone: Every tensor of a candidate must be a part" in heard.said[0]
