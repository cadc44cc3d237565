"""Settings are checked on construction and survive the way to JSON and back."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.configuration import (
    DEFAULT_BUDGET,
    AgoraConfig,
    DistillationConfig,
    ExportConfig,
    OSEConfig,
    SearchConfig,
)
from optimum_ose.configuration.reading import config_from_dict
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serialization import canonical_json, config_to_dict


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_epsilon_outside_the_open_unit_interval_is_refused(epsilon: float) -> None:
    with pytest.raises(InvalidConfigError, match=r"epsilon must lie in the open interval \(0, 1\); got .*\. Change"):
        SearchConfig(epsilon=epsilon)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        SearchConfig(epsilon=2.0, interval_size=0, seed=-1)
    assert all(name in str(caught.value) for name in ("epsilon", "interval_size", "seed"))


@pytest.mark.parametrize(
    ("kind", "settings", "name"),
    [
        (SearchConfig, {"method": "random"}, "method"),
        (SearchConfig, {"max_parameters": 0}, "max_parameters"),
        (SearchConfig, {"objective": "size"}, "objective must be w-coefficient or error"),
        (SearchConfig, {"objective": "error"}, "needs max_parameters, max_non_embedding_parameters or"),
        (SearchConfig, {"hyperparameters": ()}, "hyperparameters"),
        (DistillationConfig, {"temperature": 0.0}, "temperature"),
        (DistillationConfig, {"logits_weight": 0.0, "labels_weight": 0.0, "hidden_weight": 0.0}, "nor all be zero"),
        (DistillationConfig, {"rare_class_weight": -1.0}, "rare_class_weight"),
        (DistillationConfig, {"num_augmented_copies": -1}, "num_augmented_copies"),
        (DistillationConfig, {"replacement_probability": 0.0}, "replacement_probability"),
        (DistillationConfig, {"replacement_probability": 1.1}, "replacement_probability"),
        (AgoraConfig, {"min_distance": 2.0, "max_distance": 1.0}, "min_distance"),
        (AgoraConfig, {"pool_share": 0.0}, "pool_share"),
        (ExportConfig, {"quantization": "int4"}, "quantization"),
        (ExportConfig, {"pooling": "max"}, "pooling must be none, mean, first or last"),
        (OSEConfig, {"max_length": 1}, "max_length"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(kind: type, settings: dict, name: str) -> None:
    with pytest.raises(InvalidConfigError, match=name):
        kind(**settings)


@given(
    epsilon=st.floats(0.001, 0.999),
    steps=st.integers(0, 10_000),
    widths=st.lists(st.integers(1, 4096), min_size=1, max_size=4, unique=True),
    theta=st.lists(
        st.dictionaries(st.sampled_from(["learning_rate", "temperature"]), st.floats(0.1, 1)),
        min_size=1,
        max_size=3,
        unique_by=str,
    ),
    agora=st.none() | st.builds(AgoraConfig, points_per_mistake=st.integers(1, 5), seed=st.integers(0, 99)),
)
def test_a_config_survives_json(
    epsilon: float, steps: int, widths: list, theta: list, agora: AgoraConfig | None
) -> None:
    search = SearchConfig(
        epsilon=epsilon, max_training_steps=steps, axes={"hidden_size": tuple(widths)}, hyperparameters=tuple(theta)
    )
    config = OSEConfig(search=search, agora=agora)
    revived = config_from_dict(OSEConfig, json.loads(canonical_json(config_to_dict(config))))
    assert revived == config
    assert canonical_json(config_to_dict(revived)) == canonical_json(config_to_dict(config))


def test_an_unknown_key_of_our_own_version_is_an_error() -> None:
    with pytest.raises(InvalidConfigError, match="got epsilom"):
        config_from_dict(SearchConfig, {"epsilom": 0.1})


def test_an_unknown_key_of_a_newer_version_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert config_from_dict(SearchConfig, {"schema_version": 99, "shape": 1}) == SearchConfig()
    assert "shape" in caplog.text


def test_a_file_of_a_newer_version_is_told_of_even_if_every_setting_is_known(caplog: pytest.LogCaptureFixture) -> None:
    assert config_from_dict(SearchConfig, {"schema_version": 99, "epsilon": 0.5}).epsilon == 0.5
    assert [record.getMessage() for record in caplog.records] == [
        "SearchConfig: written by a newer version of optimum-ose (schema_version 99; this one writes 1)"
    ]


def test_a_config_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="search must be a mapping of the settings of SearchConfig; got 3"):
        config_from_dict(OSEConfig, {"search": 3})


def test_only_the_certified_method_has_a_budget_of_its_own() -> None:
    assert SearchConfig(method="certified").budget == DEFAULT_BUDGET
    assert SearchConfig().budget is None
    assert SearchConfig(max_evaluations=500).budget == 500
    assert SearchConfig(method="exhaustive").budget is None
    assert SearchConfig(method="stride", max_evaluations=7).budget == 7
