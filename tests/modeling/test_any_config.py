"""Axes, rules and counts are derived for any AutoModel config: text, vision, audio, composite, and odd ones."""

import functools

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoformerConfig,
    AutoModel,
    DeepseekV3Config,
    ElectraConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    PretrainedConfig,
    Qwen2Config,
    ResNetConfig,
    SplinterConfig,
    SqueezeBertConfig,
    UnivNetConfig,
    ViTConfig,
)

from optimum_ose import Architecture, SearchSpace, derive_search_space, reconfigure
from optimum_ose.exceptions import InvalidArchitectureError, UnsupportedModelError
from optimum_ose.modeling.attributes import config_attributes
from optimum_ose.modeling.axes import axis_attributes, derive_axes
from optimum_ose.modeling.building import build_on_meta
from optimum_ose.modeling.operations import count_multiply_adds

STANDARD = frozenset({"layers", "hidden", "heads", "intermediate"})
GROUPED = STANDARD | {"kv_heads"}
TYPES = {
    "albert": STANDARD,
    "bart": STANDARD,
    "bert": STANDARD,
    "clip": STANDARD,
    "deberta-v2": STANDARD,
    "electra": STANDARD,
    "falcon": STANDARD,
    "gemma3": GROUPED,
    "gpt2": STANDARD,
    "llama": GROUPED,
    "mamba": frozenset({"layers", "hidden", "intermediate"}),
    "mixtral": GROUPED,
    "mobilebert": STANDARD,
    "modernbert": STANDARD,
    "qwen2": GROUPED,
    "qwen3_next": GROUPED,
    "resnet": frozenset({"layers", "hidden"}),
    "swin": STANDARD,
    "t5": STANDARD,
    "vit": STANDARD,
    "wav2vec2": STANDARD,
    "whisper": STANDARD,
}


@functools.cache
def space_of(model_type: str) -> tuple[PretrainedConfig, SearchSpace]:
    config = AutoConfig.for_model(model_type)
    return config, derive_search_space(config)


def counted(config: PretrainedConfig) -> tuple[int, int]:
    """Parameters without and with embeddings, counted on a model that was built another way."""
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    inside = sum(m.weight.numel() for m in set(model.modules()) if isinstance(m, torch.nn.Embedding))
    return sum(p.numel() for p in model.parameters()) - inside, sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("model_type", TYPES)
def test_every_type_has_a_useful_space_with_the_roles_it_plays(model_type: str) -> None:
    config, space = space_of(model_type)
    assert {derive_axes(config)[axis].role for axis in space.axes} == TYPES[model_type]
    assert 100 <= len(space) <= 10_000
    assert space.maximum_point in space


@pytest.mark.parametrize("model_type", TYPES)
def test_drawn_candidates_build_and_have_the_predicted_number_of_parameters(model_type: str) -> None:
    config, space = space_of(model_type)
    drawn = [space.candidates[int(i)] for i in np.random.default_rng(7).choice(len(space), 3, replace=False)]
    asked = [*drawn, space.maximum_point]
    assert space.parameter_size(asked).tolist() == [counted(reconfigure(config, item))[1] for item in asked]


def test_embeddings_are_told_from_the_rest() -> None:
    for model_type in ("gpt2", "t5", "clip"):
        config, space = space_of(model_type)
        candidate = space.candidates[len(space) // 2]
        found = space.parameter_size([candidate], count_embeddings=False)[0]
        tables = counted(reconfigure(config, candidate))
        assert found in range(tables[0], tables[1])  # tied tables are one tensor, shared by several modules


def test_axes_have_standard_names_or_their_config_path() -> None:
    assert axis_attributes(GPT2Config())["intermediate_size"] == "n_inner"
    assert set(space_of("clip")[1].axes) == {
        f"{part}_config.{axis}"
        for part in ("text", "vision")
        for axis in ("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size")
    }
    assert {"depths.0", "hidden_sizes.3"} <= set(space_of("resnet")[1].axes)
    assert {"num_hidden_layers", "decoder_layers", "decoder_ffn_dim"} <= set(space_of("bart")[1].axes)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), (0.0, float("inf"))])
def test_numbers_that_are_not_finite_are_no_sizes(value: object) -> None:
    config = ElectraConfig(num_hidden_layers=2)
    config.other = value
    assert "other" not in {attribute.path for attribute in config_attributes(config)}


def test_an_unset_integer_has_the_value_that_gives_the_same_network() -> None:
    assert derive_search_space(GPT2Config(n_embd=48, n_head=4, n_layer=2)).maximum_point.intermediate_size == 192


def test_lists_with_an_entry_per_layer_are_cut_and_keep_their_last_entry() -> None:
    config = Gemma3TextConfig(num_hidden_layers=12)
    cut = reconfigure(config, Architecture(num_hidden_layers=5))
    assert cut.layer_types == [*config.layer_types[:4], config.layer_types[-1]]
    assert config.layer_types != cut.layer_types


def test_an_element_of_a_list_is_an_axis_of_its_own() -> None:
    changed = reconfigure(ResNetConfig(), Architecture({"hidden_sizes.1": 256, "depths.2": 1}))
    assert changed.hidden_sizes == [256, 256, 1024, 2048]
    assert changed.depths == [3, 4, 1, 3]


def test_an_integer_that_cannot_change_alone_takes_its_partner_along() -> None:
    changed = reconfigure(SqueezeBertConfig(), Architecture(hidden_size=384, num_attention_heads=6))
    assert (changed.hidden_size, changed.embedding_size) == (384, 384)


def test_the_depth_of_a_model_that_shares_its_layers_is_an_axis() -> None:
    _, space = space_of("albert")
    few, many = space.maximum_point.replace(num_hidden_layers=1), space.maximum_point
    assert len(space.axes["num_hidden_layers"]) > 1
    assert np.ptp(space.parameter_size([few, many])) == 0
    assert np.diff(space.multiply_adds([few, many], sequence_length=16))[0] > 0


def mixed_layers() -> PretrainedConfig:
    return DeepseekV3Config(
        hidden_size=128,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        first_k_dense_replace=3,
        n_routed_experts=8,
        n_group=2,
        topk_group=1,
        num_experts_per_tok=2,
        vocab_size=100,
        intermediate_size=256,
        moe_intermediate_size=64,
        q_lora_rank=32,
        kv_lora_rank=16,
    )


def test_layers_that_differ_are_counted_exactly_at_every_depth() -> None:
    config = mixed_layers()
    space = derive_search_space(config)
    sizes = space.parameter_size(space.candidates)
    for depth in space.axes["num_hidden_layers"]:
        matching = np.flatnonzero(space.candidates.columns["num_hidden_layers"] == depth)
        for index in np.random.default_rng(depth).choice(matching, 2):
            assert sizes[index] == counted(reconfigure(config, space.candidates[int(index)]))[1]


def test_a_size_for_which_the_formula_was_not_verified_is_built_and_counted() -> None:
    config = ElectraConfig(hidden_size=48, embedding_size=24, num_hidden_layers=2, num_attention_heads=6, vocab_size=99)
    space = derive_search_space(config)
    odd = space.maximum_point.replace(hidden_size=24, num_attention_heads=3)  # needs no projection of embeddings
    assert odd not in space
    assert space.parameter_size([odd, space.maximum_point]).tolist() == [
        counted(reconfigure(config, item))[1] for item in (odd, space.maximum_point)
    ]


def test_a_head_size_that_follows_the_width_is_no_obstacle() -> None:
    config = MixtralConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=4)
    free = derive_search_space(config, hidden_size=(32, 64), num_attention_heads=(4, 8))
    drawn = [item for item in free if item.num_key_value_heads == 2][:6]
    assert {item.hidden_size // item.num_attention_heads for item in drawn} == {4, 8}
    assert free.parameter_size(drawn).tolist() == [counted(reconfigure(config, item))[1] for item in drawn]


def test_heads_of_keys_and_values_divide_the_heads() -> None:
    _, space = space_of("llama")
    assert any(rule.sentence == "num_key_value_heads divides num_attention_heads" for rule in space.constraints)
    assert all(item.num_attention_heads % item.num_key_value_heads == 0 for item in space)


def test_an_axis_without_a_standard_role_varies_when_it_is_named() -> None:
    config = MixtralConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=4)
    assert "num_local_experts" not in derive_search_space(config).axes
    space = derive_search_space(config, num_local_experts=(4, 8))
    few, many = space.maximum_point.replace(num_local_experts=4), space.maximum_point
    assert space.parameter_size([few])[0] == counted(reconfigure(config, few))[1] < space.parameter_size([many])[0]


def test_values_at_which_the_model_does_not_build_are_refused() -> None:
    config = LlamaConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=8)
    with pytest.raises(InvalidArchitectureError, match=r"'llama' must build at every head_dim; at 7 it .*even rotary"):
        derive_search_space(config, head_dim=(7, 8))


@pytest.mark.parametrize("config", [LlamaConfig(num_hidden_layers=2), ViTConfig(num_hidden_layers=2), GPT2Config()])
def test_multiply_adds_are_those_counted_operation_by_operation(config: PretrainedConfig) -> None:
    space = derive_search_space(config)
    for index in (0, len(space) // 2):
        candidate = space.candidates[index]
        model = build_on_meta(reconfigure(config, candidate), None)
        assert space.multiply_adds([candidate], sequence_length=11)[0] == count_multiply_adds(model, num_tokens=11)


def test_multiply_adds_of_a_vision_transformer_are_the_closed_form() -> None:
    space = derive_search_space(ViTConfig())
    layers, hidden, inner, patches = 12, 768, 3072, 196
    length = patches + 1
    blocks = layers * (4 * length * hidden**2 + 2 * length**2 * hidden + 2 * length * hidden * inner)
    embedding, pooler = patches * 16 * 16 * 3 * hidden, hidden**2
    assert space.multiply_adds([space.maximum_point])[0] == blocks + embedding + pooler


def test_experts_count_as_often_as_tokens_are_routed_to_them() -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4}
    one, two = (
        MixtralConfig(**sizes, intermediate_size=48, num_local_experts=4, num_experts_per_tok=count) for count in (1, 2)
    )
    counts = [count_multiply_adds(build_on_meta(config, None), num_tokens=10) for config in (one, two)]
    assert counts[1] - counts[0] == 10 * 3 * 64 * 48


def test_a_model_that_does_not_run_on_meta_has_a_space_but_no_operation_count() -> None:
    space = derive_search_space(SplinterConfig(num_hidden_layers=2))
    assert space.parameter_size([space.maximum_point])[0] > 0
    with pytest.raises(UnsupportedModelError, match="SplinterModel failed on input_ids.*: .* measure its costs"):
        space.multiply_adds([space.maximum_point])


def test_a_config_that_cannot_be_built_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedModelError, match=r"'autoformer' from its config; .*prediction_length.*Check the"):
        derive_search_space(AutoformerConfig())


def test_a_config_whose_integers_size_nothing_is_refused_with_their_names() -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"'univnet' must have .* can be made smaller; none of .*kernel|model_"
    ):
        derive_search_space(UnivNetConfig(model_in_channels=1, model_hidden_channels=1))


def test_qwen_keeps_its_layer_types_in_step() -> None:
    config = Qwen2Config(num_hidden_layers=4, hidden_size=64, num_attention_heads=4, num_key_value_heads=2)
    for depth in derive_search_space(config).axes["num_hidden_layers"]:
        assert len(reconfigure(config, Architecture(num_hidden_layers=depth)).layer_types) == depth
