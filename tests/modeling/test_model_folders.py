"""Damaged, foreign and contradictory model folders are refused by one message that names the file and the fault."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, ByT5Tokenizer

from export.tiny_text import save, tiny_classifier
from optimum_ose.exceptions import InvalidConfigError, OSEError, UnsupportedModelError
from optimum_ose.modeling.configs import load_config
from optimum_ose.pipeline.optimizer import OSEOptimizer

Edit = Callable[[Path], object]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound classifier of three classes; to be copied."""
    return save(tiny_classifier(num_labels=3), tmp_path_factory.mktemp("good"))


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "model"))


def load(folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(folder, task="text-classification")


def edit(path: Path, **settings: Any) -> None:
    content = {**json.loads(path.read_text()), **settings}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"3", b"no", b'{"a":', b"[" * 100_000, b"\xff\xfe"])
def test_a_file_that_is_no_json_object_is_named(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidConfigError, match=f"^{name} of .* must be readable"):
        load(folder)


def test_a_tokenizer_without_its_parts_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidConfigError, match="The tokenizer of .* must be readable"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda whole: b"", "is empty"),
        (lambda whole: whole[: len(whole) // 2], "cut off"),
        (lambda whole: whole[:50], "cut off"),
        (lambda whole: b"\xff" * 8 + whole[8:], "header too large"),
        (lambda whole: whole[:8] + bytes(50) + whole[58:], "invalid JSON in header"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    ],
)
def test_a_weight_file_that_cannot_be_read_is_named(change: Callable[[bytes], bytes], fault: str, folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InvalidConfigError, match=f"^model.safetensors of .*{fault}"):
        load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.gguf", "tf_model.h5"])
def test_weights_in_another_form_are_named(name: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(InvalidConfigError, match=f"no file named model.safetensors, only {name}"):
        load(folder)


def test_an_adapter_is_no_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match="an adapter of another model. Merge it"):
        load(folder)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "compressed-tensors", "fp8"])
def test_a_quantized_model_is_refused_by_the_name_of_its_method(method: str, folder: Path) -> None:
    edit(folder / "config.json", quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(UnsupportedModelError, match=f"quantization_config \\('{method}'\\)"):
        load(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": ...}, "names no model_type"),
        ({"model_type": "foo"}, "names model_type 'foo'"),
        ({"model_type": 5}, "names model_type 5"),
        ({"model_type": "gpt2"}, "missing tensors|ids up to"),
        ({"architectures": [5]}, "architectures is"),
        ({"architectures": "BertModel"}, "architectures is"),
        ({"hidden_size": 0}, "must be able to build|must hold"),
        ({"num_attention_heads": 5}, "not a multiple of the number of attention heads"),
        ({"hidden_act": "foo"}, "must be able to build .*there is no 'foo'"),
        ({"max_position_embeddings": 1}, "room for a word"),
        ({"id2label": "x"}, "id2label of config.json must map"),
        ({"id2label": ["a", "b", "c"]}, "id2label of config.json must map"),
        ({"id2label": {"0": "a", "1": "b", "2": None}}, "id2label of config.json must map"),
        ({"id2label": {"0": "a", "1": "b", "3": "c"}}, "the numbers 0 to 2"),
        ({"id2label": {"0": "a", "1": "b", "2": "b"}}, "each name once"),
        ({"id2label": {"0": "a", "1": "b"}}, "tensors of another shape: classifier"),
        ({"num_labels": 5}, "num_labels is 5, and id2label names 3 classes"),
        ({"id2label": ..., "label2id": {"a": 0, "b": 0, "c": 1}}, "label2id of config.json must map"),
        ({"id2label": ..., "label2id": {"a": 0, "b": 1, "c": 9}}, "the numbers 0 to 2"),
        ({"problem_type": "classification"}, "problem_type of config.json must be one of single_label"),
        ({"problem_type": "regression"}, "A regression must have one output"),
        ({"vocab_size": 10}, "ids up to 18, and the embeddings have 10 rows"),
    ],
)
def test_a_config_that_contradicts_itself_or_its_weights_is_refused(
    settings: dict[str, Any], message: str, folder: Path
) -> None:
    edit(folder / "config.json", **settings)
    with pytest.raises(OSEError, match=message) as caught:
        load(folder)
    assert len(str(caught.value)) < 1600


@pytest.mark.parametrize("stated", [..., {}, "x", {"a": 9, "b": 1}, {"c": 0, "b": 1, "a": 2}])
def test_the_names_of_the_classes_are_those_of_id2label(
    stated: object, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(folder / "config.json", id2label={"0": "a", "1": "b", "2": "c"}, label2id=stated)
    with caplog.at_level(logging.WARNING):
        config = load_config(str(folder))
    assert config.label2id == {"a": 0, "b": 1, "c": 2}
    assert ("contradicts id2label" in caplog.text) == (isinstance(stated, dict) and bool(stated))


def test_label2id_alone_names_the_classes(folder: Path) -> None:
    edit(folder / "config.json", id2label=..., label2id={"c": 2, "a": 0, "b": 1})
    assert load_config(str(folder)).id2label == {0: "a", 1: "b", 2: "c"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pad_token": 5}, "pad_token"),
        ({"pad_token": "beyond"}, "ids up to 19, and the embeddings have 19 rows .*beyond"),
        ({"extra_special_tokens": ["<a>", "<b>"]}, "ids up to 20"),
        ({"truncation_side": "up"}, "up"),
        ({"padding_side": 5}, "5"),
        ({"model_max_length": 0}, "model_max_length is 0"),
        ({"model_max_length": "x"}, "model_max_length is 'x'"),
        ({"model_max_length": 10.5}, "model_max_length is 10.5"),
        ({"model_max_length": 2}, "room for a word"),
        ({"model_input_names": []}, "model_input_names"),
        ({"tokenizer_class": 5}, "The tokenizer of"),
    ],
)
def test_settings_of_a_tokenizer_that_cannot_hold_are_refused(
    settings: dict[str, Any], message: str, folder: Path
) -> None:
    edit(folder / "tokenizer_config.json", **settings)
    with pytest.raises(OSEError, match=message):
        load(folder)


def test_a_tokenizer_without_a_fast_form_is_refused_before_anything_is_trained(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    ByT5Tokenizer().save_pretrained(folder)
    with pytest.raises(UnsupportedModelError, match=r"must have a fast form, .*ByT5Tokenizer"):
        load(folder)


@pytest.mark.parametrize(
    "source", [None, 5, "", " ", "a\0b", b"model", [], BertConfig(), "/no/such", "x/y/z", "x" * 999]
)
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(source: Any) -> None:
    with pytest.raises(InvalidConfigError, match="must be a folder or Hub id"):
        OSEOptimizer.from_pretrained(source)


def test_a_file_is_no_folder_and_a_folder_without_a_config_no_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="is a file"):
        load(folder / "model.safetensors")
    with pytest.raises(InvalidConfigError, match="no file named config.json"):
        load(tmp_path)
