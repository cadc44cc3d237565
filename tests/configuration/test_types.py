"""Every setting of every config refuses what its annotation does not admit, by name, from Python and from a mapping."""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimum_ose.configuration import (
    AgoraConfig,
    DistillationConfig,
    ExportConfig,
    LatencySetting,
    OSEConfig,
    SearchConfig,
)
from optimum_ose.configuration.reading import config_from_dict
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serialization import config_to_dict

KINDS = (OSEConfig, SearchConfig, LatencySetting, DistillationConfig, AgoraConfig, ExportConfig)
OF_EVERY_KIND: tuple[Any, ...] = (None, True, 3, 1.5, "text", [], [1], {}, {"a": 1}, object(), {1, 2}, b"bytes", 1j)
PLAIN = OF_EVERY_KIND[:9]


def admits(hint: Any, value: object) -> bool:
    """Whether the annotation of a setting admits the type of a value; bounds are another matter."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return admits(inner[0], value)
    if len(inner) > 1 and NoneType in inner:
        return value is None or any(admits(option, value) for option in inner if option is not NoneType)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, list | tuple) and all(admits(inner[0], item) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(admits(inner[1], item) for item in value.values())
    if hint is Any:
        return True
    if dataclasses.is_dataclass(hint):
        return isinstance(value, hint)
    if hint in (int, float):
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint)


SETTINGS = [
    (kind, name, hint)
    for kind in KINDS
    for name, hint in typing.get_type_hints(kind, include_extras=True).items()
    if not name.startswith("__")
]
BY_NAME = [pytest.param(*setting, id=f"{setting[0].__name__}-{setting[1]}") for setting in SETTINGS]
NUMBERS = [pytest.param(kind, name, id=f"{kind.__name__}-{name}") for kind, name, hint in SETTINGS if admits(hint, 3)]


@pytest.mark.parametrize(("kind", "name", "hint"), BY_NAME)
def test_a_setting_of_another_type_is_refused_by_name_from_python(kind: type, name: str, hint: Any) -> None:
    wrong = [value for value in OF_EVERY_KIND if not admits(hint, value)]
    assert wrong
    for value in wrong:
        with pytest.raises(InvalidConfigError, match=rf"^{kind.__name__}: {name}\b.* must .*; got .*\. Change"):
            kind(**{name: value})


@pytest.mark.parametrize(("kind", "name", "hint"), BY_NAME)
def test_a_setting_of_another_type_is_refused_by_name_from_a_mapping(kind: type, name: str, hint: Any) -> None:
    is_config = any(map(dataclasses.is_dataclass, (hint, *typing.get_args(hint))))
    for value in [value for value in PLAIN if not admits(hint, value) and not (is_config and value == {})]:
        with pytest.raises(InvalidConfigError, match=rf"^{kind.__name__}: {name}\b.* must .*; got .*\. Change"):
            config_from_dict(kind, {name: value})


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_numbers_without_sense_are_refused_everywhere(kind: type, name: str) -> None:
    for value in (math.nan, math.inf, -math.inf, 1e30, 10**30, -(10**30), 10**5000):
        with pytest.raises(InvalidConfigError, match=name) as caught:
            kind(**{name: value})
        assert len(str(caught.value)) < 1_200
        with pytest.raises(InvalidConfigError, match=name):
            config_from_dict(kind, {name: value})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"search": {"max_training_steps": 1.5}}, "search.max_training_steps must be a whole number; got 1.5"),
        ({"search": {"max_evaluations": True}}, "search.max_evaluations must be a whole number; got True"),
        ({"search": {"latency": {"num_threads": "2"}}}, "search.latency.num_threads must be a whole number; got '2'"),
        (
            {"search": {"epsilom": 0.1}},
            "search.epsilom must be one of .* SearchConfig; the nearest is epsilon",
        ),
        ({"serch": {}}, "serch must be one of the settings of OSEConfig; the nearest is search"),
        (
            {"search": {"method": {"a": "b"}}},
            "search.method must be elastic, inherited, certified, stride or exhaustive",
        ),
        ({"search": {"axes": [1]}}, "search.axes must be a mapping"),
        ({"search": {"axes": {"hidden_size": 8}}}, "search.axes.hidden_size must be a list; got 8"),
        ({"search": {"axes": {"hidden_size": [8, 0.5]}}}, r"search.axes.hidden_size\[1\] must be a whole number"),
        ({"search": {"axes": {"hidden_size": []}}}, "search.axes.hidden_size must hold at least one entry"),
        ({"search": {"hyperparameters": {"a": 1}}}, "search.hyperparameters must be a list"),
        ({"search": {"hyperparameters": [{"learning_rat": 1}]}}, "search: hyperparameters may name .*; got learning_r"),
        (
            {"search": {"hyperparameters": [{"learning_rate": "x"}]}},
            "search: hyperparameters.learning_rate must be a number",
        ),
        (
            {"search": {"hyperparameters": [{"learning_rate": 9}]}},
            r"search: hyperparameters.learning_rate must lie in \(0",
        ),
        (
            {"search": {"hyperparameters": [{"learning_rate": 1e-4}, {}, {"learning_rate": 0.0001}]}},
            "search: hyperparameters must hold each entry once",
        ),
        ({"search": {"hyperparameters": [{}, {}]}}, "search: hyperparameters must hold each entry once"),
        (
            {"search": {"axes": {"hidden_size": [8, 16, 8]}}},
            "search: axes.hidden_size must hold each entry once; got 8",
        ),
        ({"search": {"num_threads": 100_000}}, "search.num_threads must be at most 1,024"),
        ({"export": {"opset": 21}}, r"export.opset must lie in \[14, 20\]; got 21"),
        (
            {"student_arguments": {"label_smoothing_factor": 2}},
            r"student_arguments.label_smoothing_factor must lie in \[0, 1\); got 2",
        ),
        (
            {"teacher_arguments": {"label_smoothing_factor": "-0.1"}},
            r"teacher_arguments.label_smoothing_factor must lie in \[0, 1\)",
        ),
        ({"student_arguments": {"weight_decay": -1}}, "student_arguments.weight_decay must not be negative"),
        ({"student_arguments": {"max_grad_norm": -1.0}}, "student_arguments.max_grad_norm must not be negative"),
        ({"student_arguments": {"learning_rate": 0}}, r"student_arguments.learning_rate must lie in \(0, 1\]; got 0"),
        ({"teacher_arguments": {"learning_rate": "1e30"}}, r"teacher_arguments.learning_rate must lie in \(0, 1\]"),
        ({"student_arguments": {"adam_beta1": 2}}, r"student_arguments.adam_beta1 must lie in \[0, 1\); got 2"),
        ({"student_arguments": {"adam_epsilon": 0.0}}, "student_arguments.adam_epsilon must be positive; got 0"),
        (
            {"student_arguments": {"dataloader_num_workers": 100_000}},
            "student_arguments.dataloader_num_workers must be at most 64",
        ),
        (
            {"student_arguments": {"resume_from_checkpoint": "out"}},
            "student_arguments.resume_from_checkpoint must be left out: a run resumes",
        ),
        ({"search": {"objective": "error"}}, "search: objective error needs max_parameters"),
        ({"search": None}, "search must be a mapping of the settings of SearchConfig; got None"),
        ({"search": []}, "search must be a mapping"),
        ({"search": "text"}, "search must be a mapping"),
        ({"distillation": {"log_with": "tensorboard"}}, "distillation.log_with must be a list"),
        ({"export": {"half_weights": "no"}}, "export.half_weights must be true or false; got 'no'"),
        ({"export": None}, "export must be a mapping"),
        ({"agora": True}, "agora must be a mapping"),
        ({"student_arguments": [1]}, "student_arguments must be a mapping"),
        ({"student_arguments": {"learning_rate": math.inf}}, "student_arguments must hold finite numbers only"),
        ({"student_arguments": {"device": object()}}, "student_arguments.device must consist of text, numbers, true"),
        ({"student_arguments": {1: 2}}, "student_arguments must have text as names of settings; got 1"),
        ({1: "a", "b": "c"}, "must have text as names of settings; got 1"),
        ({"schema_version": "1"}, "schema_version must be a whole number, at least 1; got '1'"),
        ({"schema_version": None}, "schema_version must be a whole number"),
    ],
)
def test_a_fault_is_named_by_its_path(settings: dict[Any, Any], told: str) -> None:
    with pytest.raises(InvalidConfigError, match=rf"^OSEConfig: {told}"):
        config_from_dict(OSEConfig, settings)


def test_all_faults_of_all_configs_are_told_together_and_bounded() -> None:
    settings = {"search": {"epsilon": 2, "seed": -1}, "distillation": {"num_steps": "x"}, "export": {"opset": 3}}
    with pytest.raises(InvalidConfigError) as caught:
        config_from_dict(OSEConfig, settings)
    for name in ("search.epsilon", "search.seed", "distillation.num_steps", "export.opset"):
        assert name in str(caught.value)
    with pytest.raises(InvalidConfigError, match="and 994 more") as caught:
        config_from_dict(OSEConfig, {f"setting_{number}": number for number in range(1_000)})
    assert len(str(caught.value)) < 1_200


def test_lists_nested_without_end_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidConfigError, match="student_arguments.*must not be nested more than 32 levels deep"):
        config_from_dict(OSEConfig, {"student_arguments": {"a": deep}})
    with pytest.raises(InvalidConfigError, match="must not be nested"):
        OSEConfig(student_arguments={"a": deep})


def test_numbers_of_numpy_and_lists_for_tuples_are_taken_from_python() -> None:
    config = SearchConfig(
        max_training_steps=np.int64(5), epsilon=np.float32(0.25), axes={"hidden_size": [np.int32(8), 16]}
    )
    assert config_from_dict(SearchConfig, config_to_dict(config)).axes == {"hidden_size": (8, 16)}
    assert DistillationConfig(learning_rate=1, temperature=2).temperature == 2


def test_what_is_read_cannot_be_changed() -> None:
    config = config_from_dict(OSEConfig, {"student_arguments": {"lr_scheduler_kwargs": {"a": [1]}}})
    with pytest.raises(TypeError):
        config.student_arguments["lr_scheduler_kwargs"]["a"] = 1  # type: ignore[index]
    assert config.student_arguments["lr_scheduler_kwargs"]["a"] == (1,)


def test_settings_that_a_newer_version_added_are_left_out_wherever_they_stand(caplog: pytest.LogCaptureFixture) -> None:
    newer = {"schema_version": 2, "colour": "red", "search": {"epsilon": 0.5, "latency": {"warm": True}}}
    assert config_from_dict(OSEConfig, newer).search.epsilon == 0.5
    assert "these settings are ignored: search.latency.warm, colour" in caplog.text
    with pytest.raises(InvalidConfigError, match="search.epsilon"):
        config_from_dict(OSEConfig, {**newer, "search": {"epsilon": 5}})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([item.name for kind in KINDS for item in dataclasses.fields(kind)]), inner, max_size=4
            )
        ),
        max_leaves=9,
    )
)
def test_any_content_gives_a_config_or_one_short_refusal(content: Any) -> None:
    for kind in KINDS:
        told, config = "", None
        try:
            config = config_from_dict(kind, content)
        except InvalidConfigError as error:
            told = str(error)
        assert len(told) < 1_700
        assert "\n" not in told
        if config is not None:
            assert config_from_dict(kind, json.loads(json.dumps(config_to_dict(config)))) == config
