"""What is derived from a config equals what Transformers builds from it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AlbertConfig,
    AutoModel,
    BartConfig,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    PretrainedConfig,
    RobertaConfig,
    SwinConfig,
    T5Config,
    XLMRobertaConfig,
)

from optimum_ose import Architecture, derive_search_space, reconfigure
from optimum_ose.exceptions import InfeasibleError, InvalidArchitectureError, UnsupportedModelError
from optimum_ose.modeling.axes import axis_attributes
from optimum_ose.modeling.building import build_on_meta, parameter_shapes
from optimum_ose.modeling.dimension_map import derive_dimension_map
from optimum_ose.modeling.operations import count_multiply_adds

CONFIGS = (BertConfig, RobertaConfig, DistilBertConfig, ElectraConfig, XLMRobertaConfig, CamembertConfig, MPNetConfig)
TASKS = (None, "text-classification")


def small(kind: type[PretrainedConfig]) -> PretrainedConfig:
    sizes = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 6, "vocab_size": 120}
    inner = {"hidden_dim": 96} if kind is DistilBertConfig else {"intermediate_size": 96}
    extra = {"embedding_size": 24} if kind is ElectraConfig else {}
    return kind(**sizes, **inner, **extra, max_position_embeddings=40)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_four_standard_axes_are_found(kind: type[PretrainedConfig]) -> None:
    space = derive_search_space(small(kind))
    assert set(space.axes) == {"num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size"}
    assert dict(space.maximum_point) == {
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "hidden_size": 48,
        "intermediate_size": 96,
    }


def test_an_axis_with_a_name_of_its_own_is_found_by_what_it_does() -> None:
    assert axis_attributes(DistilBertConfig())["intermediate_size"] == "hidden_dim"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", CONFIGS)
def test_parameter_size_equals_the_count_of_the_built_model(kind: type[PretrainedConfig], task: str | None) -> None:
    config = small(kind)
    space = derive_search_space(config, task=task)
    drawn = [list(space)[index] for index in np.random.default_rng(0).choice(len(space), 12, replace=False)]
    models = [build_on_meta(reconfigure(config, architecture), task) for architecture in drawn]
    assert space.parameter_size(drawn).tolist() == [sum(p.numel() for p in model.parameters()) for model in models]
    embeddings = [
        sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding)) for model in models
    ]
    without = space.parameter_size(drawn) - space.parameter_size(drawn, count_embeddings=False)
    assert without.tolist() == embeddings


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", CONFIGS)
def test_multiply_adds_equal_those_counted_operation_by_operation(
    kind: type[PretrainedConfig], task: str | None
) -> None:
    config = small(kind)
    space = derive_search_space(config, task=task)
    for index in np.random.default_rng(1).choice(len(space), 4, replace=False):
        architecture = list(space)[index]
        counted = count_multiply_adds(build_on_meta(reconfigure(config, architecture), task), num_tokens=13)
        assert space.multiply_adds([architecture], sequence_length=13)[0] == counted


def test_multiply_adds_of_the_repeated_layers_are_the_closed_form_of_the_paper() -> None:
    space = derive_search_space(DistilBertConfig())
    layers, hidden, inner, length = 6, 768, 3072, 128
    closed = layers * (4 * length * hidden**2 + 2 * length**2 * hidden + 2 * length * hidden * inner)
    assert space.multiply_adds([space.maximum_point], sequence_length=length)[0] == closed


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_dimension_map_predicts_every_shape(kind: type[PretrainedConfig]) -> None:
    config = small(kind)
    found = derive_dimension_map(config)
    architecture = Architecture(num_hidden_layers=2, num_attention_heads=2, hidden_size=16, intermediate_size=40)
    built = parameter_shapes(build_on_meta(reconfigure(config, architecture), None))
    assert found.shapes(dict(architecture)) == built


def test_queries_keys_and_values_write_heads_and_the_output_reads_them() -> None:
    tensors = {tensor.name: tensor for tensor in derive_dimension_map(small(BertConfig)).tensors}
    attention = "encoder.layer.{layer}.attention."
    for name in ("self.query", "self.key", "self.value"):
        assert [item.stream for item in tensors[f"{attention}{name}.weight"].dimensions] == ["heads", "residual"]
    assert [item.stream for item in tensors[f"{attention}output.dense.weight"].dimensions] == ["residual", "heads"]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_architecture_of_the_space_builds_and_answers(data: st.DataObject) -> None:
    config = small(data.draw(st.sampled_from(CONFIGS)))
    architecture = data.draw(st.sampled_from(list(derive_search_space(config))))
    model = AutoModel.from_config(reconfigure(config, architecture)).eval()
    with torch.no_grad():
        state = model(input_ids=torch.ones(2, 5, dtype=torch.long)).last_hidden_state
    assert state.shape == (2, 5, architecture.hidden_size)
    assert torch.isfinite(state).all()


def test_default_spaces_are_neither_tiny_nor_huge() -> None:
    for kind in (BertConfig, RobertaConfig, DistilBertConfig, ElectraConfig):
        assert 100 <= len(derive_search_space(kind())) <= 10_000


def test_heads_keep_their_size_by_default_and_are_free_when_chosen() -> None:
    config = small(BertConfig)
    assert {item.hidden_size // item.num_attention_heads for item in derive_search_space(config)} == {8}
    free = derive_search_space(config, hidden_size=(24, 48), num_attention_heads=(2, 5, 6))
    assert {(item.hidden_size, item.num_attention_heads) for item in free} == {(24, 2), (24, 6), (48, 2), (48, 6)}


def test_an_axis_can_be_fixed_and_overridden() -> None:
    space = derive_search_space(small(BertConfig), num_hidden_layers=2, intermediate_size=(32, 96))
    assert space.axes["num_hidden_layers"] == (2,)
    assert space.axes["intermediate_size"] == (32, 96)


def test_reconfigure_leaves_the_config_as_it_was_and_the_rest_of_it_alone() -> None:
    config = small(BertConfig)
    before = config.to_dict()
    changed = reconfigure(config, Architecture(num_hidden_layers=1))
    assert config.to_dict() == before
    assert {name for name, value in changed.to_dict().items() if before[name] != value} == {"num_hidden_layers"}
    assert type(changed) is type(config)


def test_heads_that_do_not_divide_the_width_are_refused_with_the_nearest_widths() -> None:
    with pytest.raises(InvalidArchitectureError, match=r"hidden_size=770 is not a multiple .*=12\. .*: 768, 780"):
        reconfigure(BertConfig(), Architecture(hidden_size=770, num_attention_heads=12))


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(InvalidArchitectureError, match="has the axes .*; got depth"):
        derive_search_space(small(BertConfig), depth=2)
    with pytest.raises(InvalidArchitectureError, match="has the axes .*; got depth"):
        reconfigure(small(BertConfig), Architecture(depth=2))


def test_values_beyond_the_config_are_refused() -> None:
    with pytest.raises(InvalidArchitectureError, match="hidden_size"):
        derive_search_space(small(BertConfig), hidden_size=(48, 96))


def test_values_that_leave_no_valid_architecture_are_refused() -> None:
    with pytest.raises(InfeasibleError):
        derive_search_space(small(BertConfig), hidden_size=(47,), num_attention_heads=(6,))


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="task must be one of .*; got 'depth-estimation'"):
        derive_search_space(small(BertConfig), task="depth-estimation")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (T5Config(), "t5"),
        (AlbertConfig(), "albert"),
        (BartConfig(), "bart"),
        (SwinConfig(), "depths.0 decides"),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_a_dimension_map_that_cannot_be_derived_is_refused(config: PretrainedConfig, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        derive_dimension_map(config)


def test_a_value_at_which_the_model_changes_its_tensors_is_left_out_or_refused() -> None:
    config = small(ElectraConfig)  # no projection is needed where the width is the embedding's
    assert config.embedding_size not in derive_search_space(config).axes["hidden_size"]
    with pytest.raises(InvalidArchitectureError, match="the same tensors at every hidden_size; at 24"):
        derive_search_space(config, hidden_size=(24, 48))


def test_deriving_leaves_a_living_models_attention_as_it_was() -> None:
    model = AutoModel.from_config(small(BertConfig))
    before = model.config._attn_implementation
    derive_search_space(model.config)
    assert model.config._attn_implementation == before != "eager"
