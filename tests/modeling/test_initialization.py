"""A student inherits its teacher's weights; at the teacher's own size it is the teacher."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    RobertaConfig,
)

from modeling.tiny_teachers import teacher_of
from optimum_ose import Architecture
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.dimension_map import derive_dimension_map
from optimum_ose.modeling.importance import Importance, measure_importance, principal_directions
from optimum_ose.modeling.inheritance import Inheritance, choose, find_origins, run_ends
from optimum_ose.modeling.initialization import from_scratch, inherit
from optimum_ose.modeling.search_space import derive_search_space

TASK = "text-classification"
KINDS = (BertConfig, RobertaConfig, DistilBertConfig, ElectraConfig, LlamaConfig, Qwen3Config)


def inputs() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 60, (6, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def importance_of(teacher: PreTrainedModel) -> Importance:
    return measure_importance(
        teacher,
        [inputs()],
        dimension_map=derive_dimension_map(teacher.config, TASK),
        architecture=derive_search_space(teacher.config, task=TASK).maximum_point,
    )


def student_of(teacher: PreTrainedModel, **axes: int) -> PreTrainedModel:
    architecture = Architecture({**derive_search_space(teacher.config, task=TASK).maximum_point, **axes})
    dimension_map = derive_dimension_map(teacher.config, TASK)
    origins = find_origins(teacher, architecture, dimension_map, choose(architecture, importance_of(teacher)))
    return inherit(teacher, architecture, task=TASK, origins=origins).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_of_the_teachers_size_is_the_teacher(kind: type[PretrainedConfig]) -> None:
    teacher = teacher_of(kind)
    student = student_of(teacher)
    with torch.no_grad():
        assert torch.equal(student(**inputs()).logits, teacher(**inputs()).logits)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), teacher.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_as_wide_as_its_teacher_holds_only_weights_of_the_teacher(kind: type[PretrainedConfig]) -> None:
    teacher = teacher_of(kind)
    student = student_of(teacher, num_hidden_layers=2, intermediate_size=16)
    theirs = {round(value, 6) for parameter in teacher.parameters() for value in parameter.flatten().tolist()}
    assert all(round(v, 6) in theirs for parameter in student.parameters() for v in parameter.flatten().tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_a_narrower_student_has_its_teachers_tensors_seen_from_one_basis(kind: type[PretrainedConfig]) -> None:
    teacher = teacher_of(kind)
    axes = {"num_hidden_layers": 4, "hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 40}
    basis = choose(Architecture(axes), importance_of(teacher)).residual
    student = student_of(teacher, **axes)
    source, target = dict(teacher.base_model.named_parameters()), dict(student.base_model.named_parameters())
    words = student.get_input_embeddings().weight
    if words.shape[1] == 12:
        assert torch.allclose(words, teacher.get_input_embeddings().weight @ basis, atol=1e-6)
    norms = [name for name in source if "norm" in name.lower() and target[name].shape == (12,)]
    for name in norms:
        seen = source[name] @ basis
        if name.endswith("weight"):
            seen = (basis.T @ torch.diag(source[name]) @ basis).diagonal()
        assert torch.allclose(target[name], seen, atol=1e-6)
    assert norms
    with torch.no_grad():
        assert torch.isfinite(student(**inputs()).logits).all()


def test_the_basis_is_orthonormal_and_keeps_the_mean_over_channels() -> None:
    basis = choose(
        Architecture(num_hidden_layers=4, hidden_size=12, num_attention_heads=2, intermediate_size=40),
        importance_of(teacher_of(BertConfig)),
    ).residual
    assert torch.allclose(basis.T @ basis, torch.eye(12), atol=1e-5)
    stream = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    assert torch.allclose((stream @ basis).mean(1) * 12**0.5, stream.mean(1) * 24**0.5, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 4, 24])
def test_principal_directions_hold_more_than_any_other_beside_the_mean(rank: int) -> None:
    draw = torch.Generator().manual_seed(rank)
    points = torch.randn(200, rank, generator=draw).double() @ torch.randn(rank, 24, generator=draw).double()
    directions = principal_directions(points.T @ points)
    assert torch.allclose(directions.T @ directions, torch.eye(24).double(), atol=1e-8)
    assert torch.allclose(directions[:, 0], torch.full((24,), 24**-0.5).double(), atol=1e-8)
    off_mean = points - points.mean(1, keepdim=True)
    oracle = torch.linalg.svdvals(off_mean).square()
    assert torch.allclose((off_mean @ directions[:, 1:6]).square().sum(0), oracle[:5], rtol=1e-6, atol=1e-6)


def test_neurons_that_do_nothing_are_left_behind_without_loss() -> None:
    teacher = teacher_of(BertConfig)
    with torch.no_grad():
        for layer in teacher.bert.encoder.layer:
            layer.intermediate.dense.weight[::5] = 0
            layer.intermediate.dense.bias[::5] = 0
    student = student_of(teacher, intermediate_size=32)
    with torch.no_grad():
        assert torch.allclose(student(**inputs()).logits, teacher(**inputs()).logits, atol=1e-5)


def test_heads_that_say_nothing_are_left_behind() -> None:
    teacher = teacher_of(BertConfig)
    with torch.no_grad():
        for layer in teacher.bert.encoder.layer:
            layer.attention.self.value.weight[6:12] = 0
            layer.attention.self.value.bias[6:12] = 0
    chosen = choose(
        Architecture(num_hidden_layers=4, hidden_size=18, num_attention_heads=3, intermediate_size=40),
        importance_of(teacher),
    )
    assert chosen.heads == chosen.kv_heads == ((0, 2, 3),) * 4


@pytest.mark.parametrize(
    ("num_heads", "num_kv_heads", "kv_heads", "heads"),
    [(4, 2, (0, 1), (0, 1, 2, 3)), (2, 1, (1,), (2, 3)), (2, 2, (0, 1), (1, 2)), (4, 1, (1,), (2, 3, 2, 3))],
)
def test_heads_go_with_the_keys_and_values_that_they_share(
    num_heads: int, num_kv_heads: int, kv_heads: tuple[int, ...], heads: tuple[int, ...]
) -> None:
    importance = replace(importance_of(teacher_of(LlamaConfig)), heads=(torch.tensor([1.0, 2.0, 5.0, 4.0]),) * 4)
    chosen = choose(
        Architecture(
            num_hidden_layers=4,
            hidden_size=24,
            num_attention_heads=num_heads,
            num_key_value_heads=num_kv_heads,
            intermediate_size=40,
        ),
        importance,
    )
    assert chosen.kv_heads == (kv_heads,) * 4
    assert chosen.heads == (heads,) * 4


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_layers_of_the_highest_scores_are_inherited_and_always_the_last(num_layers: int) -> None:
    architecture = Architecture(
        num_hidden_layers=num_layers, hidden_size=24, num_attention_heads=4, intermediate_size=40
    )
    importance = importance_of(teacher_of(BertConfig))
    for scores in permutations([0.1, 0.2, 0.3]):
        layers = choose(architecture, importance, layer_scores=torch.tensor(scores)).layers
        by_score = sorted(range(3), key=lambda layer: -scores[layer])
        assert layers == (*sorted(by_score[: num_layers - 1]), 3)


def test_importance_leaves_the_teacher_as_it_was() -> None:
    teacher = teacher_of(BertConfig).train()
    importance_of(teacher)
    assert teacher.training
    assert not any(module._forward_pre_hooks for module in teacher.modules())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            GPT2Config(n_embd=24, n_inner=96, n_layer=2, n_head=4, vocab_size=60),
            "no linear map of the layers reads the heads",
        ),
        (
            MPNetConfig(
                hidden_size=24, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=60
            ),
            "all layers share encoder.relative_attention_bias.weight",
        ),
        (
            GPTNeoXConfig(
                hidden_size=24, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=60
            ),
            "reads the heads",
        ),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_inheritance_is_refused_where_the_map_does_not_tell_heads_apart(config: PretrainedConfig, message: str) -> None:
    teacher = AutoModel.from_config(config)
    dimension_map = derive_dimension_map(config)
    with pytest.raises(UnsupportedModelError, match=f"inherits weights where .*{message}.*from scratch"):
        measure_importance(teacher, [inputs()], dimension_map=dimension_map, architecture={})
    nothing = Inheritance(layers=(), residual=torch.eye(0), heads=(), kv_heads=(), head_size=1, inner=())
    with pytest.raises(UnsupportedModelError, match=message):
        find_origins(teacher, derive_search_space(config).maximum_point, dimension_map, nothing)


def test_the_last_layer_of_each_run_is_taken() -> None:
    assert run_ends(12, 4) == (2, 5, 8, 11)
    assert run_ends(6, 4) == (0, 2, 3, 5)
    assert run_ends(6, 6) == tuple(range(6))
    assert run_ends(6, 1) == (5,)


def test_scratch_depends_on_the_seed_alone() -> None:
    teacher = teacher_of(BertConfig)
    architecture = Architecture(num_hidden_layers=1, hidden_size=12, num_attention_heads=2, intermediate_size=16)
    state = torch.random.get_rng_state()
    first, second, other = (from_scratch(teacher, architecture, task=TASK, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
