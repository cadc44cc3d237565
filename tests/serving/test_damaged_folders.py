"""A damaged folder, or one whose files do not belong together, is refused at load; the message names the file."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.exceptions import InvalidConfigError, OSEError, OutputFolderError
from optimum_ose.serving import OnnxPipeline

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the exported folder, to be spoiled."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def edit(folder: Path, name: str, **values: object) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))


def refusal(folder: Any, kind: type[OSEError] = InvalidConfigError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        OnnxPipeline.from_pretrained(folder, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id2label", "text"),
        ("id2label", ["a", "b", "c"]),
        ("id2label", {"a": 0, "b": 1, "c": 2}),
        ("id2label", {"0": "a", "1": "b", "7": "c"}),
        ("problem_type", "classification"),
        ("problem_type", 7),
        ("architectures", "BertForSequenceClassification"),
        ("architectures", [7]),
        ("pad_token_id", "0"),
        ("pad_token_id", 10**30),
        ("pad_token_id", 0.5),
        ("max_position_embeddings", "64"),
        ("max_position_embeddings", True),
        ("n_positions", [64]),
    ],
)
def test_a_value_of_the_wrong_kind_in_the_config_is_named(own: Path, key: str, value: object) -> None:
    edit(own, "config.json", **{key: value})
    assert refusal(own).startswith(f"{key} in config.json must be ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pad_token", 7),
        ("pad_token", ["[PAD]"]),
        ("mask_token", {"text": "[MASK]"}),
        ("cls_token", {"content": 7}),
        ("truncation_side", "up"),
        ("truncation_side", 0),
        ("model_max_length", "64"),
        ("model_max_length", 0),
        ("model_max_length", -5),
        ("model_max_length", 0.5),
    ],
)
def test_a_value_of_the_wrong_kind_in_the_tokenizers_settings_is_named(own: Path, key: str, value: object) -> None:
    edit(own, "tokenizer_config.json", **{key: value})
    assert refusal(own).startswith(f"{key} in tokenizer_config.json must be ")


@pytest.mark.parametrize("damage", ["empty", "garbage", "head", "tail"])
def test_a_damaged_onnx_file_is_named(own: Path, damage: str) -> None:
    file = own / "onnx/model.onnx"
    content = file.read_bytes()
    parts = {"empty": b"", "garbage": b"\0\xff" * 500, "head": content[:5000], "tail": content[5000:]}
    file.write_bytes(parts[damage])
    assert refusal(own).startswith("model.onnx must be a model that ONNX Runtime can load")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"])
def test_a_pointer_of_git_lfs_is_recognized(own: Path, name: str) -> None:
    (own / name).write_bytes(POINTER)
    assert refusal(own).startswith(f"{name} must hold the file itself; it is a pointer of Git LFS")


def test_a_truncated_tokenizer_is_named(own: Path) -> None:
    file = own / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:-200])
    assert refusal(own).startswith("tokenizer.json must be a tokenizer")


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused_before_a_text_meets_them(own: Path) -> None:
    content = json.loads((own / "tokenizer.json").read_text())
    largest = max(content["model"]["vocab"].values())
    content["model"]["vocab"]["surplus"] = largest + 1
    (own / "tokenizer.json").write_text(json.dumps(content))
    message = refusal(own)
    assert f"it has none for token {largest + 1}, 'surplus'" in message


def test_a_padding_token_without_embedding_is_refused_before_a_batch_meets_it(own: Path) -> None:
    edit(own, "config.json", pad_token_id=5000)
    assert "it has none for token 5000" in refusal(own)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id2label": {"0": "a", "1": "b"}}, "it gives 3 values, and id2label names 2 classes"),
        ({"architectures": ["BertForTokenClassification"]}, "its output for token-classification has 2 axes"),
        ({"architectures": ["BertModel"]}, "its output for feature-extraction has 2 axes"),
    ],
)
def test_a_config_of_another_model_is_refused(own: Path, values: dict[str, Any], message: str) -> None:
    edit(own, "config.json", **values)
    assert message in refusal(own)


def test_a_limit_that_leaves_no_room_for_text_is_refused(own: Path) -> None:
    edit(own, "tokenizer_config.json", model_max_length=2)
    assert "more than its 2 special tokens" in refusal(own)


@pytest.mark.parametrize("folder", [None, 5, b"out", ["out"], True])
def test_a_folder_that_is_no_path_is_refused(folder: object) -> None:
    assert refusal(folder).startswith("folder must be a path; got ")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "none", ""])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    refusal(name, OutputFolderError)


@pytest.mark.parametrize("number", [0, -1, 100_000, "2", 1.5, True])
def test_a_number_of_threads_outside_its_range_is_named(own: Path, number: object) -> None:
    assert refusal(own, num_threads=number).startswith("num_threads must be a positive whole number of at most ")


def test_a_file_name_that_is_no_text_is_refused(own: Path) -> None:
    assert refusal(own, file_name=7).startswith("file_name must be text; got 7")
