"""A checkpoint is loaded whole and as float32, or refused by name: nothing random stands for something trained."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    ViTConfig,
)

from optimum_ose.exceptions import InvalidConfigError, OSEError, UnsupportedModelError
from optimum_ose.modeling.checkpoint import Checkpoint, load_checkpoint
from optimum_ose.modeling.configs import load_config
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.modeling.search_space import derive_search_space

# transformers 4.57 imports two of the models with torch.jit.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
TASK = "text-classification"
Weights = dict[str, torch.Tensor]
SIZES = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
KINDS = {
    "Bert": SIZES,
    "Roberta": SIZES,
    "DistilBert": {"vocab_size": 30, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
    "DebertaV2": SIZES,
    "ModernBert": {**SIZES, **SPECIAL, "cls_token_id": 1, "sep_token_id": 2},
    "Albert": {**SIZES, "embedding_size": 8},
    "Electra": {**SIZES, "embedding_size": 8},
    "MPNet": SIZES,
    "XLNet": {"vocab_size": 30, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24},
    "GPT2": {"vocab_size": 30, "n_embd": 16, "n_layer": 2, "n_head": 2, **SPECIAL},
    "Llama": {**SIZES, **SPECIAL, "num_key_value_heads": 1},
    "Mistral": {**SIZES, **SPECIAL, "num_key_value_heads": 1},
    "Qwen2": {**SIZES, **SPECIAL, "num_key_value_heads": 1},
    "GPTNeoX": {**SIZES, **SPECIAL},
}
WRAPPERS = ("_orig_mod.", "module.", "model.", "module._orig_mod.", "model.module.")


def config_of(kind: str) -> PretrainedConfig:
    config: PretrainedConfig = getattr(transformers, f"{kind}Config")(**KINDS[kind])
    config.num_labels = 3
    return config


def classifier(kind: str = "Bert") -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config_of(kind))


def saved(model: PreTrainedModel, folder: Path, edit: Callable[[Weights], Weights] = dict, **settings: object) -> str:
    """The model's folder, its weights and its config edited."""
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file(edit(load_file(path)), path, metadata={"format": "pt"})
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **settings}))
    return str(folder)


def load(source: str, task: str = TASK) -> Checkpoint:
    return load_checkpoint(source, load_config(source), task=task)


def same(first: PreTrainedModel, second: PreTrainedModel) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == other and torch.equal(a.float(), b.float()) for (name, a), (other, b) in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_is_loaded_as_float32(kind: str, tmp_path: Path) -> None:
    model = classifier(kind).to(torch.bfloat16)
    found = load(saved(model, tmp_path))
    assert found.has_head
    assert same(found.model, model)
    assert {tensor.dtype for tensor in found.model.parameters()} == {torch.float32}
    assert found.model.config.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_of_several_precisions_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    source = saved(classifier(), tmp_path, lambda sd: {k: v.to(dtype) if "dense" in k else v for k, v in sd.items()})
    assert {tensor.dtype for tensor in load(source).model.parameters()} == {torch.float32}


def test_a_student_is_float32_whatever_its_teacher_s_config_names() -> None:
    teacher = classifier().to(torch.bfloat16)
    point = derive_search_space(teacher.config, task=TASK).maximum_point
    student = from_scratch(teacher, point, task=TASK, seed=0)
    assert {tensor.dtype for tensor in student.parameters()} == {torch.float32}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", ["Bert", "Llama"])
def test_the_prefix_of_a_wrapper_is_removed_and_said(
    kind: str, wrapper: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = classifier(kind)
    found = load(saved(model, tmp_path, lambda sd: {wrapper + name: tensor for name, tensor in sd.items()}))
    assert same(found.model, model)
    assert found.has_head
    assert "saved inside a wrapper" in caplog.text


def test_a_wrapper_hides_no_layer_that_the_config_lacks(tmp_path: Path) -> None:
    source = saved(classifier(), tmp_path, lambda sd: {f"module.{k}": v for k, v in sd.items()}, num_hidden_layers=1)
    with pytest.raises(InvalidConfigError, match=r"unexpected tensors: bert\.encoder\.layer\.1"):
        load(source)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_without_a_head_gets_a_random_one_that_does_not_count_as_trained(
    kind: str, tmp_path: Path
) -> None:
    body = AutoModel.from_config(config_of(kind))
    found = load(saved(body, tmp_path))
    assert not found.has_head
    again = load(str(tmp_path)).model
    assert same(found.model, again)


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "GPT2", "Llama", "XLNet"])
def test_a_layer_more_or_less_than_the_config_says_is_named(kind: str, tmp_path: Path) -> None:
    depth = {"DistilBert": "n_layers", "GPT2": "n_layer", "XLNet": "n_layer"}.get(kind, "num_hidden_layers")
    source = saved(classifier(kind), tmp_path, **{depth: 1})
    with pytest.raises(InvalidConfigError, match=r"unexpected tensors: .*1\."):
        load(source)
    source = saved(classifier(kind), tmp_path, **{depth: 3})
    with pytest.raises(InvalidConfigError, match=r"missing tensors: .*2\."):
        load(source)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (
            lambda sd: {k: v for k, v in sd.items() if not k.startswith("classifier")},
            "missing tensors: classifier.bias",
        ),
        (lambda sd: {k: v for k, v in sd.items() if "layer.1.output.dense.bias" not in k}, "layer.1.output.dense.bias"),
        (lambda sd: {**sd, "extra.weight": torch.ones(3)}, "unexpected tensors: extra.weight"),
        (lambda sd: {f"foo.{k}": v for k, v in sd.items()}, "missing tensors: bert"),
        (lambda sd: {k: v * float("nan") if k == "classifier.bias" else v for k, v in sd.items()}, "NaN or infinity"),
        (lambda sd: {k: v + float("inf") if k == "classifier.bias" else v for k, v in sd.items()}, "NaN or infinity"),
    ],
)
def test_weights_that_do_not_fit_are_named(edit: Callable[[Weights], Weights], named: str, tmp_path: Path) -> None:
    source = saved(classifier(), tmp_path, edit)
    with pytest.raises(InvalidConfigError) as caught:
        load(source)
    assert named in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 32}, "tensors of another shape: bert.embeddings"),
        ({"id2label": {str(i): str(i) for i in range(5)}}, r"classifier.bias \(3,\) for \(5,\)"),
        ({"vocab_size": 10**9}, "describes 16,0.* parameters; the files hold"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000"),
        ({"problem_type": "regression"}, "A regression must have one output"),
    ],
)
def test_a_config_of_another_model_is_refused_before_memory_is_taken(
    settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    source = saved(classifier(), tmp_path, **settings)
    with pytest.raises(OSEError, match=message):
        load(source)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8])
def test_quantized_weights_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    source = saved(classifier(), tmp_path, lambda sd: {k: v.to(dtype) if "dense.w" in k else v for k, v in sd.items()})
    with pytest.raises(UnsupportedModelError, match="quantized ones: bert"):
        load(source)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("T5", {"vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}),
        (
            "Bart",
            {
                "vocab_size": 30,
                "d_model": 16,
                "encoder_layers": 1,
                "decoder_layers": 1,
                "encoder_attention_heads": 2,
                "decoder_attention_heads": 2,
                "encoder_ffn_dim": 8,
            },
        ),
    ],
)
def test_an_encoder_with_a_decoder_is_refused_at_once(kind: str, settings: dict[str, int], tmp_path: Path) -> None:
    model = AutoModel.from_config(getattr(transformers, f"{kind}Config")(**settings))
    with pytest.raises(UnsupportedModelError, match="must have one stack"):
        load(saved(model, tmp_path))


def test_the_head_of_another_task_is_not_this_task_s(tmp_path: Path) -> None:
    source = saved(classifier(), tmp_path)
    assert not load(source, "token-classification").has_head
    assert load(source, "feature-extraction").has_head


def test_a_head_in_the_files_counts_where_the_config_names_no_class(tmp_path: Path) -> None:
    assert load(saved(classifier(), tmp_path, architectures=None)).has_head


@pytest.mark.parametrize("kind", ["Bert", "Llama"])
def test_a_head_of_an_unknown_class_is_refused_and_both_remedies_work(kind: str, tmp_path: Path) -> None:
    source = saved(classifier(kind), tmp_path, architectures=["ZZZ"])
    with pytest.raises(InvalidConfigError, match=r"no class of its architectures \['ZZZ'\]; the files hold") as found:
        load(source)
    assert f"['{kind}ForSequenceClassification'] and id2label" in str(found.value)
    content = json.loads((tmp_path / "config.json").read_text())
    content["architectures"] = [f"{kind}ForSequenceClassification"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert load(source).has_head
    AutoModel.from_pretrained(source).save_pretrained(tmp_path / "without")
    assert not load(str(tmp_path / "without")).has_head


def test_an_unknown_class_without_the_task_s_head_gets_a_new_one(tmp_path: Path) -> None:
    source = saved(AutoModel.from_config(config_of("Bert")), tmp_path, architectures=["ZZZ"])
    assert not load(source).has_head


def test_a_head_of_other_classes_is_refused_where_the_config_names_no_class(tmp_path: Path) -> None:
    source = saved(classifier(), tmp_path, architectures=None)
    config = load_config(source)
    config.num_labels = 5
    with pytest.raises(InvalidConfigError, match="architectures None; the files hold classifier"):
        load_checkpoint(source, config, task=TASK)


def test_images_are_loaded_by_the_same_rules(tmp_path: Path) -> None:
    sizes = {name: size for name, size in SIZES.items() if name != "vocab_size"}
    model = AutoModelForImageClassification.from_config(ViTConfig(**sizes, image_size=16, patch_size=8))
    assert load(saved(model, tmp_path), "image-classification").has_head
    source = saved(model, tmp_path, num_hidden_layers=1)
    with pytest.raises(InvalidConfigError, match="unexpected tensors: vit"):
        load(source, "image-classification")


def test_weights_in_several_files_lose_their_prefix_too(tmp_path: Path) -> None:
    model = classifier()
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    index = tmp_path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    for file in set(content["weight_map"].values()):
        weights = {f"module.{name}": tensor for name, tensor in load_file(tmp_path / file).items()}
        save_file(weights, tmp_path / file, metadata={"format": "pt"})
    renamed = {f"module.{name}": file for name, file in content["weight_map"].items()}
    index.write_text(json.dumps({**content, "weight_map": renamed}))
    assert same(load(str(tmp_path)).model, model)
    (tmp_path / sorted(renamed.values())[-1]).unlink()
    with pytest.raises(InvalidConfigError, match="that it names are missing"):
        load(str(tmp_path))
