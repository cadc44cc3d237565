"""Fronts of the teacher's tensors make a student of any model type, and at its own size the teacher itself."""

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    T5Config,
    ViTConfig,
)

from optimum_ose.core.architecture import Architecture
from optimum_ose.modeling.axes import derive_axes
from optimum_ose.modeling.model_inputs import run_example
from optimum_ose.modeling.slicing import copy_fronts, inherit_fronts

WIDTHS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
KINDS: dict[str, PretrainedConfig] = {
    "bert": BertConfig(**WIDTHS, vocab_size=50),
    "llama": LlamaConfig(**WIDTHS, num_key_value_heads=2, vocab_size=50),
    "gpt2": GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=40, vocab_size=50),
    "t5": T5Config(d_model=16, d_ff=32, d_kv=8, num_layers=2, num_heads=2, vocab_size=50),
    "vit": ViTConfig(**WIDTHS, image_size=16, patch_size=8),
    "resnet": ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="basic"),
}


def teacher_of(config: PretrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModel.from_config(config).eval()


@pytest.mark.parametrize("name", KINDS)
def test_a_student_of_the_teachers_own_size_is_the_teacher(name: str) -> None:
    teacher = teacher_of(KINDS[name])
    own = Architecture({axis: item.value for axis, item in derive_axes(teacher.config).items()})
    student = inherit_fronts(teacher, own, task=None)
    expected = run_example(teacher, batch_size=2).output[0]
    assert torch.equal(run_example(student, batch_size=2).output[0], expected)


@pytest.mark.parametrize("name", ["bert", "gpt2", "vit"])
def test_a_smaller_student_holds_nothing_but_its_teachers_numbers(name: str) -> None:
    teacher = teacher_of(KINDS[name])
    student = inherit_fronts(
        teacher, Architecture(hidden_size=8, num_hidden_layers=1, num_attention_heads=1), task=None
    )
    known = torch.cat([item.flatten() for item in teacher.parameters()])
    found = torch.cat([item.detach().flatten() for item in student.parameters()])
    assert torch.isin(found, known).all()
    assert torch.isfinite(run_example(student, batch_size=2).output[0]).all()


def test_fused_queries_keys_and_values_stay_apart() -> None:
    teacher = teacher_of(KINDS["gpt2"])
    student = inherit_fronts(teacher, Architecture(hidden_size=8, num_attention_heads=1), task=None)
    fused, whole = student.h[0].attn.c_attn.weight, teacher.h[0].attn.c_attn.weight
    assert torch.equal(fused, torch.cat([whole[:8, block * 16 : block * 16 + 8] for block in range(3)], dim=1))


def test_layers_are_the_ends_of_runs() -> None:
    teacher = teacher_of(BertConfig(**{**WIDTHS, "num_hidden_layers": 4}, vocab_size=50))
    student = inherit_fronts(teacher, Architecture(num_hidden_layers=2), task=None)
    for own, other in ((0, 1), (1, 3)):
        query = student.encoder.layer[own].attention.self.query.weight
        assert torch.equal(query, teacher.encoder.layer[other].attention.self.query.weight)


def test_what_has_no_counterpart_stays_as_it_is() -> None:
    large, small = torch.nn.Linear(4, 4), torch.nn.Linear(6, 4)
    before = small.weight.clone()
    copy_fronts(small, large)
    assert torch.equal(small.weight, before)
    assert torch.equal(small.bias, large.bias)
