"""Candidates are parts of shared weights, for any model type: the one of T's size is T, and each can learn."""

import copy
import functools

import numpy as np
import pytest
import torch
from transformers import (
    AfmoeConfig,
    AlbertConfig,
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    SwinConfig,
    T5Config,
    ViTConfig,
)

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.elastic.student import ElasticStudent
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.dimension_map import derive_dimension_map
from optimum_ose.modeling.model_inputs import run_example
from optimum_ose.modeling.reconfiguration import reconfigure
from optimum_ose.modeling.search_space import derive_search_space

WIDTHS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}
SHARED_HEADS = {**WIDTHS, "num_key_value_heads": 2, "vocab_size": 50}
KINDS: dict[str, PretrainedConfig] = {
    "albert": AlbertConfig(**WIDTHS, embedding_size=8, vocab_size=50),
    "bert": BertConfig(**WIDTHS, vocab_size=50),
    "deberta-v2": DebertaV2Config(**WIDTHS, vocab_size=50),
    "gemma3": Gemma3TextConfig(**SHARED_HEADS, head_dim=4),
    "gpt2": GPT2Config(n_embd=16, n_layer=3, n_head=4, n_positions=40, vocab_size=50),
    "llama": LlamaConfig(**SHARED_HEADS),
    "mixtral": MixtralConfig(**SHARED_HEADS, num_local_experts=2),
    "modernbert": ModernBertConfig(**WIDTHS, vocab_size=50, pad_token_id=0),
    "swin": SwinConfig(embed_dim=8, depths=[2, 2], num_heads=[2, 2], image_size=16, patch_size=2, window_size=2),
    "t5": T5Config(d_model=16, d_ff=32, d_kv=4, num_layers=3, num_heads=4, vocab_size=50),
    "vit": ViTConfig(**WIDTHS, image_size=16, patch_size=8),
}


@functools.cache
def case(name: str) -> tuple[PreTrainedModel, SearchSpace]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        teacher = AutoModel.from_config(KINDS[name]).eval()
    return teacher, derive_search_space(KINDS[name])


def elastic(name: str) -> tuple[ElasticStudent, SearchSpace]:
    teacher, space = case(name)
    return ElasticStudent(copy.deepcopy(teacher), space.maximum_point, task=None, dimension_map=None), space


def asked(space: SearchSpace) -> list[Architecture]:
    """The largest candidate, the smallest, and two others."""
    sizes = space.parameter_size(space.candidates)
    drawn = np.random.default_rng(0).integers(len(space), size=2)
    return [space.candidates[int(index)] for index in (sizes.argmax(), sizes.argmin(), *drawn)]


@pytest.mark.parametrize("name", KINDS)
def test_the_view_of_the_teachers_size_is_the_teacher(name: str) -> None:
    student, space = elastic(name)
    example = run_example(case(name)[0], batch_size=2)
    with torch.no_grad():
        found = student.view(space.maximum_point)(**example.inputs)[0]
    torch.testing.assert_close(found, example.output[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_candidate_as_a_model_of_its_own_computes_what_its_view_does(name: str) -> None:
    student, space = elastic(name)
    inputs = run_example(case(name)[0], batch_size=2).inputs
    for architecture in asked(space):
        model = student.materialize(architecture)
        assert sum(item.numel() for item in model.parameters()) == space.parameter_size([architecture])[0]
        with torch.no_grad():
            found = student.view(architecture)(**inputs)[0]
            torch.testing.assert_close(found, model(**inputs)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_views_that_learn_together_all_improve(name: str) -> None:
    student, space = elastic(name)
    inputs = run_example(case(name)[0], batch_size=4).inputs
    views = [student.view(architecture) for architecture in dict.fromkeys(asked(space))]
    optimizer = torch.optim.Adam(student.shared.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        losses.append([])
        for view in views:
            view.watch()
            loss = (view(**inputs)[0].mean(1) - 0.5).square().mean()
            loss.backward()
            view.collect()
            losses[-1].append(float(loss.detach()))
        optimizer.step()
    assert all(last < first for first, last in zip(losses[0], losses[-1], strict=True))


def test_gradients_of_views_add_up_where_they_overlap() -> None:
    student, _ = elastic("bert")
    inputs = run_example(case("bert")[0]).inputs
    small = Architecture(hidden_size=8, num_attention_heads=2, intermediate_size=8, num_hidden_layers=1)
    weight = student.shared.encoder.layer[2].intermediate.dense.weight
    found = []
    for times in (1, 2):
        student.shared.zero_grad()
        for _ in range(times):
            view = student.view(small)
            view.watch()
            view(**inputs)[0].square().sum().backward()
            view.collect()
        found.append(weight.grad.clone())
    torch.testing.assert_close(found[1], 2 * found[0])
    assert found[0][:8, :8].abs().sum() > 0
    assert found[0][8:].abs().sum() == found[0][:, 8:].abs().sum() == 0


def test_heads_that_share_keys_and_values_stay_with_them() -> None:
    teacher, space = case("llama")
    dimension_map = derive_dimension_map(teacher.config)
    student = ElasticStudent(teacher, space.maximum_point, task=None, dimension_map=dimension_map)
    two = Architecture({**space.maximum_point, "num_attention_heads": 2, "hidden_size": 8})
    attention = student.materialize(two).layers[0].self_attn
    whole = teacher.layers[0].self_attn
    heads = torch.tensor([0, 1, 2, 3, 8, 9, 10, 11])  # the first of each group; a head is 4 channels wide
    assert torch.equal(attention.q_proj.weight, whole.q_proj.weight[heads][:, :8])
    assert torch.equal(attention.k_proj.weight, whole.k_proj.weight[:, :8])


def test_a_type_whose_tensors_come_and_go_with_an_axis_has_no_dimension_map() -> None:
    experts = {"moe_intermediate_size": 8, "num_experts": 2, "num_experts_per_tok": 1, "num_dense_layers": 1}
    config = AfmoeConfig(**SHARED_HEADS, **experts, head_dim=4)
    with pytest.raises(UnsupportedModelError, match="num_dense_layers decides whether it is there"):
        derive_dimension_map(config)


def test_tied_embeddings_stay_tied() -> None:
    teacher = AutoModelForMaskedLM.from_config(KINDS["bert"]).eval()
    space = derive_search_space(teacher.config, task="fill-mask")
    student = ElasticStudent(teacher, space.maximum_point, task="fill-mask", dimension_map=None)
    architecture = asked(space)[1]
    model, inputs = student.materialize(architecture), run_example(teacher).inputs
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    with torch.no_grad():
        assert torch.equal(student.view(architecture)(**inputs).logits, model(**inputs).logits)


def test_sizes_are_those_of_the_teachers_axes_where_shared_weights_are_as_deep_in_each_stage() -> None:
    config = SwinConfig(embed_dim=8, depths=[2, 3], num_heads=[2, 2], image_size=16, patch_size=2, window_size=2)
    sizes = Architecture({**derive_search_space(config).maximum_point, "depths.1": 2})
    shared = AutoModel.from_config(reconfigure(config, sizes)).eval()
    student = ElasticStudent(shared, sizes, task=None, dimension_map=None, config=config)
    inputs = run_example(shared).inputs
    for first in (1, 2):
        architecture = Architecture({**sizes, "depths.0": first})
        with torch.no_grad():
            found, expected = (
                model(**inputs)[0] for model in (student.view(architecture), student.materialize(architecture))
            )
        torch.testing.assert_close(found, expected)


def test_a_candidate_that_is_no_part_of_the_shared_weights_is_refused() -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="basic")
    teacher = AutoModel.from_config(config).eval()
    space = derive_search_space(config)
    student = ElasticStudent(teacher, space.maximum_point, task=None, dimension_map=None)
    narrow = next(candidate for candidate in space if candidate["embedding_size"] != candidate["hidden_sizes.0"])
    with pytest.raises(UnsupportedModelError, match="must be a part of one of the shared weights; .*shortcut"):
        student.view(narrow)
