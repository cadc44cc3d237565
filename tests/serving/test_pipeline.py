"""The ONNX pipeline gives what a transformers pipeline gives."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, BertConfig, DistilBertConfig, PreTrainedModel, RobertaConfig, pipeline

from export.tiny_text import BERT_SIZES, WORDS, save, tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, OutputFolderError, UnsupportedModelError
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.quantization import quantize_dynamic_int8
from optimum_ose.serving import OnnxPipeline

PIECES = [*WORDS, "é", "\x00", "\x1b", "\u202e", "漢", "🙂"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join)
PAIRS = st.builds(dict, text=TEXTS, text_pair=TEXTS)
FORMS = [
    "the cat sat",
    "",
    ["a good film", "the", "the cat sat on a mat . bad movies"],
    {"text": "the cat", "text_pair": "a mat"},
    {"text": "the cat"},
    [{"text": "the cat", "text_pair": "a mat"}, {"text": "a good movie", "text_pair": "bad"}],
]


def assert_same(actual: Any, expected: Any) -> None:
    """Equal in form and labels, and in numbers up to rounding."""
    assert type(actual) is type(expected)
    if isinstance(expected, float):
        assert actual == pytest.approx(expected, abs=1e-5)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected)
        for key, value in expected.items():
            assert_same(actual[key], value)
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other)
    else:
        assert actual == expected


@pytest.fixture(scope="module")
def served(folder: Path) -> OnnxPipeline:
    return OnnxPipeline.from_pretrained(folder, num_threads=1)


@pytest.fixture(scope="module")
def reference(model: PreTrainedModel) -> Any:
    return pipeline("text-classification", model=model, tokenizer=tiny_tokenizer(), device="cpu")


@pytest.mark.parametrize("inputs", FORMS, ids=str)
@pytest.mark.parametrize("options", [{}, {"top_k": 1}, {"top_k": 2}, {"top_k": 9}, {"top_k": None}], ids=str)
def test_answers_equal_those_of_transformers_in_every_form(
    served: OnnxPipeline, reference: Any, inputs: Any, options: dict[str, Any]
) -> None:
    assert_same(served(inputs, **options), reference(inputs, **options))


@settings(max_examples=25, deadline=None)
@given(
    inputs=st.lists(TEXTS, min_size=1, max_size=6) | st.lists(PAIRS, min_size=1, max_size=4),
    batch_size=st.integers(1, 4),
)
def test_any_text_gets_the_answer_of_transformers_whatever_the_batch(
    served: OnnxPipeline, reference: Any, inputs: Any, batch_size: int
) -> None:
    expected = reference(inputs, top_k=None, truncation=True)
    assert_same(served(inputs, top_k=None, batch_size=batch_size), expected)


def test_an_empty_list_gets_an_empty_answer(served: OnnxPipeline) -> None:
    assert served([]) == served([], top_k=None) == []


def test_a_long_list_is_answered_in_order(served: OnnxPipeline) -> None:
    texts = [" ".join(WORDS[5 : 5 + (7 * index) % 13]) for index in range(50)]
    assert_same(served(texts, batch_size=8), [served(text)[0] for text in texts])


def test_a_text_beyond_the_limit_is_cut_as_the_tokenizer_cuts_it(served: OnnxPipeline, reference: Any) -> None:
    text = "the cat sat on a mat " * 40
    assert_same(served(text), reference(text, truncation=True))


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**BERT_SIZES, num_labels=3, problem_type="multi_label_classification"),
        BertConfig(**BERT_SIZES, num_labels=2, problem_type="regression"),
        BertConfig(**BERT_SIZES, num_labels=1),
        BertConfig(**BERT_SIZES, num_labels=2),
        RobertaConfig(**{**BERT_SIZES, "pad_token_id": 0}, num_labels=4),
        DistilBertConfig(vocab_size=len(WORDS), dim=32, n_layers=1, n_heads=4, hidden_dim=64, initializer_range=0.15),
    ],
    ids=lambda config: f"{config.model_type}-{config.num_labels}-{config.problem_type}",
)
def test_scores_follow_problem_type_and_number_of_labels(config: Any, tmp_path: Path) -> None:
    model, tokenizer = tiny_classifier(config), tiny_tokenizer(segments=config.model_type == "bert")
    export_onnx(model, tokenizer, save(model, tmp_path, tokenizer=tokenizer))
    expected = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    texts = ["a good film", "the cat sat on a mat"]
    assert_same(OnnxPipeline.from_pretrained(tmp_path)(texts, top_k=None), expected(texts, top_k=None))


def test_token_vectors_equal_those_of_transformers(tmp_path: Path) -> None:
    model = AutoModel.from_config(BertConfig(**BERT_SIZES)).eval()
    export_onnx(model, tiny_tokenizer(), save(model, tmp_path))
    served = OnnxPipeline.from_pretrained(tmp_path)
    expected = pipeline("feature-extraction", model=model, tokenizer=tiny_tokenizer(), device="cpu")
    assert served.task == "feature-extraction"
    for inputs in ("the cat", ["a", "the cat sat on a mat"]):
        assert_same(served(inputs), expected(inputs))


def test_threads_may_share_one_pipeline(served: OnnxPipeline) -> None:
    texts = [" ".join(WORDS[5 : 6 + index % 12]) for index in range(64)]
    with ThreadPoolExecutor(8) as pool:
        assert_same(list(pool.map(lambda text: served(text)[0], texts)), [served(text)[0] for text in texts])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (7, "type int"),
        (None, "type NoneType"),
        (["a", 7], "type int"),
        ([["a", "b"]], "type list"),
        ({"text_pair": "b"}, "text_pair"),
        ({"text": "a", "language": "en"}, "language"),
        ({"text": "a", "text_pair": 7}, "type int"),
        ("half \ud800 of a pair", "surrogate"),
    ],
)
def test_inputs_of_another_kind_are_refused(served: OnnxPipeline, inputs: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=rf"Inputs must be a text, .*; got .*{message}.*\. Send"):
        served(inputs)


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": True}, {"top_k": 1.5}, {"batch_size": 0}], ids=str)
def test_counts_must_be_positive_whole_numbers(served: OnnxPipeline, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError, match=rf"{next(iter(options))} must be a positive whole number; got"):
        served("a", **options)


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the exported folder, to be spoiled."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def test_the_file_is_the_recommended_one_else_the_int8_one_else_the_fp32_one(own: Path) -> None:
    fp32 = OnnxPipeline.from_pretrained(own)("a good film", top_k=None)
    quantize_dynamic_int8(own)
    int8 = OnnxPipeline.from_pretrained(own)("a good film", top_k=None)
    assert int8 != fp32
    assert OnnxPipeline.from_pretrained(own, file_name="onnx/model.onnx")("a good film", top_k=None) == fp32
    (own / "ose").mkdir()
    (own / "ose/benchmark.json").write_text('{"default_file": "onnx/model.onnx"}')
    assert OnnxPipeline.from_pretrained(own)("a good film", top_k=None) == fp32
    (own / "ose/benchmark.json").write_text("{}")
    assert OnnxPipeline.from_pretrained(own)("a good film", top_k=None) == int8


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "onnx/../../secret", "link.onnx", "a\0b"])
def test_a_file_outside_the_folder_is_refused_even_when_the_folder_asks_for_it(own: Path, name: str) -> None:
    (own.parent / "secret").write_text("secret")
    (own / "link.onnx").symlink_to(own.parent / "secret")
    (own / "ose").mkdir()
    (own / "ose/benchmark.json").write_text(json.dumps({"default_file": name}))
    for options in ({}, {"file_name": name}):
        with pytest.raises(OutputFolderError, match=r"must lie inside the model folder; .* does not\. Name a file"):
            OnnxPipeline.from_pretrained(own, **options)


def test_a_linked_config_that_leaves_the_folder_is_refused(own: Path) -> None:
    (own / "config.json").rename(own.parent / "config.json")
    (own / "config.json").symlink_to(own.parent / "config.json")
    with pytest.raises(OutputFolderError, match=r"must lie inside the model folder; 'config.json' does not"):
        OnnxPipeline.from_pretrained(own)


def test_a_snapshot_of_the_hub_cache_is_served_although_its_files_are_links(own: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--me--model/snapshots/abc", tmp_path / "models--me--model/blobs"
    blobs.mkdir(parents=True)
    for index, file in enumerate(sorted(path for path in own.rglob("*") if path.is_file())):
        link = snapshot / file.relative_to(own)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.rename(blobs / f"{index:064x}"))
    assert len(OnnxPipeline.from_pretrained(snapshot)("a good film")) == 1


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"])
def test_a_missing_file_says_where_to_get_it(own: Path, name: str) -> None:
    (own / name).unlink()
    with pytest.raises(OutputFolderError, match=rf"with the file {name}; there is none\. Give a folder"):
        OnnxPipeline.from_pretrained(own)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", r"config.json must hold a JSON object; reading it failed: JSONDecodeError\. Export"),
        ("config.json", b"[" * 100_000, r"reading it failed: RecursionError"),
        ("config.json", b"[1]", r"it holds a list"),
        ("config.json", b"\xff\xfe{", r"reading it failed: UnicodeDecodeError"),
        ("config.json", b" " * (2**24 + 1), r"must not exceed 16,777,216 bytes; it does\. Export"),
        ("tokenizer.json", b"\xff", r"it is not UTF-8 text"),
        ("tokenizer.json", b"{}", r"that the library tokenizers can read"),
        ("onnx/model.onnx", b"nothing", r"model.onnx must be a model that ONNX Runtime can load"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_a_damaged_file_is_named(own: Path, name: str, content: bytes, message: str) -> None:
    (own / name).write_bytes(content)
    with pytest.raises(InvalidConfigError, match=message):
        OnnxPipeline.from_pretrained(own)


def test_another_task_is_refused(own: Path) -> None:
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "architectures": ["SegformerForSemanticSegmentation"]}))
    with pytest.raises(
        UnsupportedModelError,
        match=r"question-answering, .*; the model is a SegformerForSemanticSegmentation\. Load it with",
    ):
        OnnxPipeline.from_pretrained(own)
