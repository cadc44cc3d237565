"""Texts for texts the whole way: T5, BART and Marian are exported, served, searched, distilled and judged."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel, TrainingArguments

import reversals
from optimum_ose import DistillationConfig, ExportConfig, OSEOptimizer, SearchConfig
from optimum_ose.data.columns import Columns
from optimum_ose.data.request import DataRequest
from optimum_ose.data.sequence_pairs import pair_splits
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UnsupportedModelError
from optimum_ose.export.merging import is_merged, merge, split
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.sequence_inputs import sequence_inputs
from optimum_ose.export.sequence_parity import open_sequences, torch_logits, written_logits
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.generation_settings import generation_settings
from optimum_ose.serving.graphs import files_beside, main_file
from optimum_ose.serving.server import create_server
from runs import refused, run
from serving.server_client import predict, running

TASK = "text2text-generation"
TEXTS = reversals.pairs(12, seed=5)["text"][:]
TOKENS = reversals.tokenizer()
NAMES = {"onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"}


@pytest.fixture(scope="module", params=reversals.MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, Path]:
    """A model with random weights, and its folder."""
    model, folder = reversals.MODELS[request.param](), tmp_path_factory.mktemp(request.param)
    export_onnx(model, TOKENS, folder)
    return model, reversals.saved(model, folder)


def with_settings(folder: Path, target: Path, **settings: Any) -> Path:
    """A copy of a folder with further settings of how it writes."""
    shutil.copytree(folder, target)
    path = target / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return target


def written(folder: Path, texts: list[str], **options: Any) -> list[str]:
    """What `generate` of Transformers writes with the weights of a folder."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    with torch.no_grad():
        ids = model.generate(**TOKENS(texts, padding=True, return_tensors="pt"), **options)
    return TOKENS.batch_decode(ids, skip_special_tokens=True)


def test_two_files_compute_what_the_model_computes(exported: tuple[PreTrainedModel, Path]) -> None:
    model, folder = exported
    files = files_beside(folder / main_file(folder))
    assert {str(path.relative_to(folder)) for path in files} == NAMES
    inputs = sequence_inputs(model, TOKENS, batch_size=3, sequence_length=11, num_written=7)
    session, expected = open_sequences(*files), torch_logits(model, inputs)
    for ends in ((7,), (1, 2, 3, 4, 5, 6, 7), (4, 7)):
        np.testing.assert_allclose(written_logits(session, inputs, ends), expected, atol=1e-4, rtol=1e-4)


def test_a_decoder_holds_its_weights_once_and_can_be_taken_apart(exported: tuple[PreTrainedModel, Path]) -> None:
    model, folder = exported
    graph = onnx.load(folder / main_file(folder))
    assert is_merged(graph)
    parts = split(graph)
    assert [is_merged(part) for part in parts] == [False, False]
    assert merge(*parts).SerializeToString() == graph.SerializeToString()
    stored = [int(np.prod(item.dims)) for item in graph.graph.initializer]
    decoder = sum(tensor.numel() for name, tensor in model.named_parameters() if "encoder.layers" not in name)
    assert sum(stored) <= decoder + model.get_input_embeddings().weight.numel()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_beams": 4},
        {"num_beams": 3, "early_stopping": True, "max_length": 12},
        {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0, "max_new_tokens": 9},
        {"num_beams": 4, "no_repeat_ngram_size": 2, "min_length": 5, "repetition_penalty": 1.3, "max_length": 16},
        {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2, "bad_words_ids": [[6]], "suppress_tokens": [7]},
        {"num_beams": 2, "forced_bos_token_id": 5, "forced_eos_token_id": 1, "begin_suppress_tokens": [8]},
    ],
    ids=str,
)
def test_what_is_written_is_what_transformers_writes(
    exported: tuple[PreTrainedModel, Path], settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = with_settings(exported[1], tmp_path / "folder", **settings)
    served = OnnxPipeline.from_pretrained(folder)
    expected = written(folder, TEXTS)
    assert [answer["generated_text"] for answer in served(TEXTS)] == expected
    assert served(TEXTS[0]) == [{"generated_text": expected[0]}]


def test_a_call_may_ask_for_beams_and_a_length(exported: tuple[PreTrainedModel, Path]) -> None:
    folder = exported[1]
    served = OnnxPipeline.from_pretrained(folder)
    expected = written(folder, TEXTS, num_beams=3, max_new_tokens=5)
    assert [answer["generated_text"] for answer in served(TEXTS, num_beams=3, max_new_tokens=5)] == expected
    with pytest.raises(InvalidDataError, match="num_beams must be at most 64"):
        served(TEXTS, num_beams=65)
    with pytest.raises(InvalidDataError, match="Inputs must be a text"):
        served([3])


def test_the_server_answers(exported: tuple[PreTrainedModel, Path]) -> None:
    folder = exported[1]
    served = OnnxPipeline.from_pretrained(folder)
    with running(create_server(folder, port=0, num_threads=1)) as port:
        assert predict(port, TEXTS[:3], max_new_tokens=6) == (200, served(TEXTS[:3], max_new_tokens=6))
        assert predict(port, TEXTS[0], num_beams=2, max_new_tokens=6) == (
            200,
            served(TEXTS[0], num_beams=2, max_new_tokens=6),
        )
        assert predict(port, TEXTS[0], num_beams=17)[0] == 422


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_sample": True}, "may ask for the most probable token or for beams; it has do_sample=True"),
        ({"max_length": 1}, "max_length in generation_config.json must be a whole number, 2 or more; it is 1"),
        ({"bad_words_ids": [[1, 2]]}, "may ban single tokens"),
        ({"decoder_start_token_id": -1}, "must be the id of a token"),
    ],
)
def test_settings_that_are_not_handled_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((UnsupportedModelError, InvalidConfigError), match=message):
        generation_settings({"decoder_start_token_id": 0, **settings}, {})


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 that writes texts in capitals."""
    model = reversals.trained(reversals.t5(), reversals.pairs(600, seed=0), steps=220)
    return reversals.saved(model, tmp_path_factory.mktemp("teacher"))


SETTINGS = {
    "max_length": 16,
    "search": {
        "method": "certified",
        "max_training_steps": 2,
        "max_evaluations": 2,
        "num_eval_rows": 16,
        "sequence_length": 16,
    },
    "distillation": {"num_steps": 10, "checkpoint_steps": 8},
    "student_arguments": {"num_train_epochs": 1},
    "export": {"block_seconds": 0.01},
}


def words(teacher: Path, folder: Path, **changed: Any) -> list[str]:
    data = reversals.write_files(folder / "data", rows=200, source="en", target="de")
    (folder / "config.json").write_text(json.dumps({**SETTINGS, **changed.pop("config", {})}))
    options = {
        "task": TASK,
        "model": teacher,
        "dataset": data,
        "source-column": "en",
        "target-column": "de",
        "config": folder / "config.json",
        "output": folder / "out",
        **changed,
    }
    return ["run", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


@pytest.mark.filterwarnings("ignore::optimum_ose.exceptions.UntouchedSplitWarning")  # the made pairs are few
def test_the_whole_way(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, words(teacher, tmp_path))
    folder = tmp_path / "out"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    int8 = {name.replace(".onnx", "_quantized.onnx") for name in NAMES}
    files = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert {*files, *NAMES, *int8, "ose/search.json", "ose/benchmark.json"} <= names
    content = json.loads((folder / "ose" / "benchmark.json").read_text())
    assert content["metric"] == "chrf"
    assert content["scores"]["teacher"]["pytorch-fp32"]["exact_match"] > 0.7
    assert content["scores"]["student"]["onnx-fp32"] == content["scores"]["student"]["pytorch-fp32"]
    assert content["default_file"] in {*NAMES, *int8}
    assert content["latency"]["num_written"] >= 3
    examples = json.loads((folder / "ose" / "run.json").read_text())["stages"]["benchmark"]["examples"]
    texts = [example["text"] for example in examples]
    served = OnnxPipeline.from_pretrained(folder, file_name="onnx/decoder_model_merged.onnx")
    assert [answer["generated_text"] for answer in served(texts)] == written(folder, texts)
    card = (folder / "README.md").read_text()
    assert "AutoModelForSeq2SeqLM" in card
    assert "text2text-generation" in card


def test_shared_weights_are_searched(teacher: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(teacher, task="translation", max_length=16)
    assert optimizer.task == TASK
    rows, few = reversals.pairs(64, seed=1), reversals.pairs(24, seed=2)
    axes = {"num_hidden_layers": (1, 2), "num_decoder_layers": (1, 2), "hidden_size": (24, 48)}
    axes |= {"intermediate_size": (96,), "num_attention_heads": (4,)}
    search = SearchConfig(method="elastic", num_eval_rows=16, sequence_length=16, axes=axes)
    search = replace(search, elastic=replace(search.elastic, num_steps=4, batch_size=8))
    result = optimizer.extract(search, train_dataset=rows, eval_dataset=few)
    student = optimizer.initialize(result)
    before = optimizer.score(student, few)
    optimizer.distill(student, rows, DistillationConfig(num_steps=5, batch_size=16))
    assert 0 <= before <= 1
    assert student.generation_config.max_length == optimizer.teacher.generation_config.max_length


def test_the_score_of_a_fine_tuned_teacher_is_that_of_what_it_writes(teacher: Path, tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(teacher, task=TASK, max_length=16)
    rows, few = reversals.pairs(16, seed=1), reversals.pairs(8, seed=2)
    args = TrainingArguments(str(tmp_path), max_steps=1, report_to=[], use_cpu=True, save_strategy="no")
    assert optimizer.finetune_teacher(rows, few, args) == optimizer.scores(optimizer.teacher, few)


def test_a_student_of_the_teachers_size_writes_what_the_teacher_writes(teacher: Path, tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(teacher, task=TASK, max_length=16)
    rows = reversals.pairs(24, seed=3)
    student = optimizer.initialize(optimizer.search_space().maximum_point, calibration_dataset=rows)
    assert optimizer.scores(student, rows) == optimizer.scores(optimizer.teacher, rows)
    artifact = optimizer.export(student, tmp_path / "out", ExportConfig(half_weights=True), calibration_dataset=rows)
    assert artifact.onnx.name == "decoder_model_merged.onnx"
    assert optimizer.served_scores(tmp_path / "out", rows) == pytest.approx(optimizer.scores(student, rows), abs=0.1)
    half = optimizer.served_scores(tmp_path / "out", rows, file_name="onnx/decoder_model_merged_fp16.onnx")
    assert half == pytest.approx(optimizer.scores(student, rows), abs=0.05)


def test_what_comes_before_each_token_is_the_right_text() -> None:
    optimizer = OSEOptimizer(reversals.t5(), TOKENS, task=TASK, max_length=8)
    row = optimizer.rows(Dataset.from_dict({"text": ["red dog"], "target": ["RED DOG"]}))[0]
    red, dog = TOKENS.convert_tokens_to_ids(["RED", "DOG"])
    assert (row["labels"], row["decoder_input_ids"]) == ([red, dog, 1], [0, red, dog])


def test_long_texts_are_cut_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    optimizer = OSEOptimizer(reversals.bart(), TOKENS, task=TASK, max_length=64)
    assert optimizer.max_length == 32
    long = Dataset.from_dict({"text": ["red"] * 3, "target": ["RED", "RED " * 40, "RED"]})
    rows = optimizer.rows(long, name="train")
    assert [len(labels) for labels in rows["labels"]] == [2, 32, 2]
    assert "1 of 3 rows of train (33.3%) are longer than max_length=32 tokens" in capfd.readouterr().err


def requested(folder: Path, content: dict[str, list[Any]], **columns: str) -> DataRequest:
    path = folder / "data.jsonl"
    rows = [dict(zip(content, values, strict=True)) for values in zip(*content.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataRequest(source=str(path), columns=Columns(**columns))


def test_translations_of_the_hub_are_read(tmp_path: Path) -> None:
    content = {"translation": [{"en": f"dog {row}", "de": f"Hund {row}"} for row in range(30)]}
    found = pair_splits(requested(tmp_path, content, text="de", label="en"))
    assert found.train[0]["text"].startswith("Hund")
    assert found.train[0]["target"].startswith("dog")
    assert len(found.train) + len(found.validation) + len(found.test) == 30
    with pytest.raises(InvalidDataError, match="must have a column of what is read; train has the columns translation"):
        pair_splits(requested(tmp_path, content))


def test_empty_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = [f"text {row}" for row in range(30)]
    found = pair_splits(requested(tmp_path, {"document": ["", *texts], "summary": [*texts, "  "]}))
    assert "2 of 31 rows of train are left out: 'document' or 'summary' is empty" in found.warnings
    with pytest.raises(InvalidDataError, match="must hold texts; no row of train has one in both"):
        pair_splits(requested(tmp_path, {"document": texts, "summary": [""] * 30}))


BAD: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "no target": (lambda folder: {"target-column": "fr"}, "must have a column of what is to be written named 'fr'"),
    "one column": (lambda folder: {"target-column": "en"}, "must stand in columns of their own"),
    "unlabeled": (lambda folder: {"unlabeled": lines(folder)}, "joins tasks of single texts"),
    "latency": (lambda folder: {"max-latency-ms": 5}, "Latency in the search needs models that answer in one run"),
    "agora": (
        lambda folder: {"config": {"agora": {"initial_round": True}}},
        "Agora makes new rows of texts with a class",
    ),
    "static": (
        lambda folder: {"config": {"export": {"quantization": "static-int8"}}},
        "needs a model of one ONNX file",
    ),
    "layers": (lambda folder: {"config": {"distillation": {"hidden_weight": 1.0}}}, "need models of one stack"),
    "copies": (lambda folder: {"config": {"distillation": {"num_augmented_copies": 1}}}, "opies"),
}


def lines(folder: Path) -> Path:
    (folder / "lines.txt").write_text("red dog\n")
    return folder / "lines.txt"


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_before_work_is_spent(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = BAD[name]
    teacher = reversals.saved(reversals.t5(), tmp_path / "teacher")
    printed = refused(monkeypatch, capsys, words(teacher, tmp_path, **change(tmp_path)))
    assert message in printed
    assert len(printed.splitlines()) <= 10
    assert not list((tmp_path / "out").glob("checkpoints/*"))


def test_models_of_one_stack_and_without_a_start_are_refused(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5EncoderModel

    tokens = {"vocab_size": len(reversals.VOCABULARY), "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": 2}
    small = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, **tokens))
    with pytest.raises((UnsupportedModelError, InvalidConfigError), match="GPT2"):
        OSEOptimizer.from_pretrained(reversals.saved(small, tmp_path / "gpt2"), task=TASK)
    model = reversals.t5()
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = None
    with pytest.raises(InvalidConfigError, match="must name decoder_start_token_id"):
        OSEOptimizer(model, TOKENS, task=TASK)
    encoder = T5EncoderModel(T5Config(d_model=16, d_kv=8, num_layers=1, num_heads=2, d_ff=16, **tokens))
    with pytest.raises(InvalidConfigError, match="must hold the T5ForConditionalGeneration"):
        OSEOptimizer.from_pretrained(reversals.saved(encoder, tmp_path / "encoder"), task=TASK)
