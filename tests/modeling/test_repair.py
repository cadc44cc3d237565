"""A repaired student computes, as far as its size allows, what its teacher computes."""

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn
from transformers import (
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    RobertaConfig,
)

from modeling.tiny_teachers import teacher_of
from optimum_ose import Architecture
from optimum_ose.modeling.dimension_map import derive_dimension_map
from optimum_ose.modeling.importance import measure_importance
from optimum_ose.modeling.inheritance import choose, find_origins
from optimum_ose.modeling.initialization import inherit
from optimum_ose.modeling.repair import RIDGE, _fit_norm, _ridge, record, repair
from optimum_ose.modeling.search_space import derive_search_space

TASK = "text-classification"
SMALLER = (
    {"num_hidden_layers": 2},
    {"intermediate_size": 16},
    {"hidden_size": 12, "num_attention_heads": 2},
    {"num_hidden_layers": 1, "hidden_size": 18, "num_attention_heads": 3, "intermediate_size": 8},
)


def batch_of(seed: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 60, (64, 16), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[::3, 10:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def students_of(teacher: PreTrainedModel, axes: dict[str, int]) -> tuple[PreTrainedModel, PreTrainedModel]:
    """A sliced student, and the same repaired."""
    maximum_point = derive_search_space(teacher.config, task=TASK).maximum_point
    dimension_map = derive_dimension_map(teacher.config, TASK)
    importance = measure_importance(teacher, [batch_of(1)], dimension_map=dimension_map, architecture=maximum_point)
    if "num_key_value_heads" in maximum_point and "num_attention_heads" in axes:
        axes = {**axes, "num_key_value_heads": 1}
    architecture = Architecture({**maximum_point, **axes})
    origins = find_origins(teacher, architecture, dimension_map, choose(architecture, importance))
    sliced, repaired = (inherit(teacher, architecture, task=TASK, origins=origins).eval() for _ in range(2))
    repair(repaired, record(teacher, batch_of(1)), origins)
    return sliced, repaired


def distance(student: PreTrainedModel, teacher: PreTrainedModel) -> float:
    """Mean squared error of the logits on rows that the repair did not see."""
    with torch.no_grad():
        return float((student(**batch_of(2)).logits - teacher(**batch_of(2)).logits).square().mean())


@pytest.mark.parametrize("kind", [BertConfig, RobertaConfig, DistilBertConfig, ElectraConfig, LlamaConfig, Qwen3Config])
@pytest.mark.parametrize("axes", SMALLER, ids=lambda axes: "-".join(axes))
def test_the_repair_brings_a_student_nearer_to_its_teacher_on_unseen_rows(
    kind: type[PretrainedConfig], axes: dict[str, int]
) -> None:
    teacher = teacher_of(kind)
    sliced, repaired = students_of(teacher, axes)
    assert distance(repaired, teacher) < distance(sliced, teacher)


def test_at_the_teachers_own_size_the_repair_changes_nothing_but_rounding() -> None:
    teacher = teacher_of(BertConfig)
    _, repaired = students_of(teacher, {})
    with torch.no_grad():
        assert torch.allclose(repaired(**batch_of(2)).logits, teacher(**batch_of(2)).logits, atol=1e-3)


def test_no_hook_and_no_training_flag_is_left_behind() -> None:
    teacher = teacher_of(BertConfig).train()
    _, repaired = students_of(teacher, {"num_hidden_layers": 2})
    assert teacher.training
    fitted = [m for model in (teacher, repaired) for m in model.modules() if isinstance(m, nn.Linear | nn.LayerNorm)]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in fitted)
    assert all(not parameter.is_inference() and parameter.requires_grad for parameter in repaired.parameters())


@pytest.mark.parametrize("centered", [True, False])
def test_the_ridge_is_the_field_s(centered: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    inputs, target = torch.randn(50, 6, generator=draw) + 0.3, torch.randn(50, 4, generator=draw)
    weights, bias = _ridge(inputs, target, centered=centered)
    penalty = RIDGE * len(inputs) * float(inputs.square().mean())
    oracle = Ridge(alpha=penalty, fit_intercept=centered).fit(inputs.numpy(), target.numpy())
    assert torch.allclose(weights, torch.tensor(oracle.coef_.T, dtype=torch.float32), atol=1e-4)
    assert torch.allclose(bias, torch.tensor(oracle.intercept_, dtype=torch.float32), atol=1e-4)


@pytest.mark.parametrize("kind", [nn.LayerNorm, nn.RMSNorm])
def test_a_norm_with_the_right_answer_within_reach_finds_it(kind: type[nn.Module]) -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 8, generator=draw)
    norm, wanted = kind(8), kind(8)
    with torch.no_grad():
        wanted.weight.copy_(torch.rand(8, generator=draw) + 0.5)
        _fit_norm(norm, inputs, wanted(inputs))
        assert torch.allclose(norm.weight, wanted.weight, atol=RIDGE)
