"""Question answering the whole way: files of SQuAD's form, windows, spans, the served folder."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import BertForQuestionAnswering, BertModel, PreTrainedTokenizerFast

from optimum_ose import Architecture, OSEOptimizer
from optimum_ose.data.batching import pad_rows
from optimum_ose.data.columns import Columns
from optimum_ose.data.request import DataRequest
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.optimizer.augmentation import require_copyable
from optimum_ose.optimizer.token_rows import join_unlabeled
from optimum_ose.pipeline.diagnostics import score_diagnostic
from optimum_ose.serialization import read_json
from optimum_ose.serving import OnnxPipeline
from optimum_ose.tasks.parts.questions import QUESTIONS
from optimum_ose.tasks.parts.span_scores import answer_scores
from optimum_ose.tasks.parts.spans import SPANS
from runs import refused, run
from themes import FILLERS, THEMES, VOCABULARY, teacher_config
from tiny_tokenizer import word_piece_tokenizer

TASK = "question-answering"
CLOSE = 0.002


def tokenizer() -> PreTrainedTokenizerFast:
    return word_piece_tokenizer((*VOCABULARY, "which", *THEMES), model_max_length=32)


def questions(num_rows: int, seed: int) -> Dataset:
    """Which word of a theme stands among others? Some contexts are longer than a window."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for _ in range(num_rows):
        theme = str(generator.choice(list(THEMES)))
        words = [str(word) for word in generator.choice(FILLERS, size=generator.choice([6, 9, 40]))]
        for other in THEMES:
            words.insert(int(generator.integers(len(words) + 1)), str(generator.choice(THEMES[other])))
        answer = next(word for word in words if word in THEMES[theme])
        start = len(" ".join(words[: words.index(answer)])) + bool(words.index(answer))
        answers = {"text": [answer], "answer_start": [start]}
        rows.append({"question": f"which {theme}", "context": " ".join(words), "answers": answers})
    return Dataset.from_list(rows)


TRAIN, DEV, TEST = questions(300, 0), questions(60, 1), questions(60, 2)


def squad(rows: Dataset) -> dict[str, Any]:
    paragraphs = [
        {
            "context": row["context"],
            "qas": [
                {
                    "id": str(number),
                    "question": row["question"],
                    "answers": [{"text": row["answers"]["text"][0], "answer_start": row["answers"]["answer_start"][0]}],
                }
            ],
        }
        for number, row in enumerate(rows)
    ]
    return {"version": "1.1", "data": [{"title": "themes", "paragraphs": paragraphs}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("squad")
    for name, rows in (("train", TRAIN), ("validation", DEV), ("test", TEST)):
        (folder / f"{name}.json").write_text(json.dumps(squad(rows), indent=1))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(teacher_config(vocab_size=len(tokenizer()), num_labels=2, id2label=None, label2id=None))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def finished(encoder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one command makes of an encoder without a head."""
    folder = tmp_path_factory.mktemp("run")
    config = {
        "max_length": 32,
        "search": {"max_training_steps": 2, "max_evaluations": 3, "num_eval_rows": 32, "sequence_length": 16},
        "distillation": {"num_steps": 60, "learning_rate": 2e-3},
        "student_arguments": {"num_train_epochs": 1},
        "teacher_arguments": {"num_train_epochs": 25, "learning_rate": 3e-3},
        "export": {"block_seconds": 0.02},
    }
    (folder / "config.json").write_text(json.dumps(config))
    words = ["run", "--model", encoder, "--task", TASK, "--dataset", data, "--output", folder / "out"]
    with pytest.MonkeyPatch.context() as patch:
        run(patch, [str(word) for word in (*words, "--config", folder / "config.json")])
    return folder / "out"


def test_a_file_of_squads_form_is_read_as_flat_rows_are(data: Path, tmp_path: Path) -> None:
    for name, rows in (("train", TRAIN), ("validation", DEV), ("test", TEST)):
        rows.to_json(tmp_path / f"{name}.jsonl")
    nested, flat = (QUESTIONS.read(DataRequest(source=str(folder))) for folder in (data, tmp_path))
    assert nested.fingerprint() == flat.fingerprint()
    assert nested.test["question"][:] == TEST["question"][:]


def test_reported_score_is_that_of_the_served_folder_on_raw_rows(finished: Path) -> None:
    scores = read_json(finished / "ose" / "benchmark.json")["scores"]["student"]
    pipeline = OnnxPipeline.from_pretrained(finished, file_name="onnx/model.onnx")
    asked = [{"question": row["question"], "context": row["context"]} for row in TEST]
    served = answer_scores([answer["answer"] for answer in pipeline(asked)], [row["answers"]["text"] for row in TEST])
    assert scores["onnx-fp32"] == pytest.approx(served, abs=CLOSE)
    assert scores["pytorch-fp32"] == pytest.approx(served, abs=CLOSE)
    assert served["f1"] > 0.8, "the student has learned to look for the theme"


def test_the_folder_is_complete_and_its_card_shows_how_to_ask(finished: Path) -> None:
    card = (finished / "README.md").read_text()
    assert f"pipeline_tag: {TASK}" in card
    assert '"question"' in card
    assert all((finished / name).is_file() for name in ("onnx/model.onnx", "onnx/model_quantized.onnx", "config.json"))
    samples = read_json(finished / "ose" / "run.json")["stages"]["benchmark"]["examples"]
    assert [sample["text"] for sample in samples] == TEST["question"][:3]


def test_int8_finds_what_fp32_finds(finished: Path) -> None:
    scores = read_json(finished / "ose" / "benchmark.json")["scores"]["student"]
    assert scores["onnx-int8"]["f1"] == pytest.approx(scores["onnx-fp32"]["f1"], abs=0.1)


def test_an_answer_is_labeled_where_it_stands_in_each_window(encoder: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(encoder, task=TASK)
    rows = optimizer.rows(TRAIN)
    assert len(rows) > len(TRAIN)
    assert max(map(len, rows["input_ids"])) == 32
    found = 0
    for ids, start, end in zip(rows["input_ids"], rows["start_positions"], rows["end_positions"], strict=True):
        text = tokenizer().decode(ids[start : end + 1])
        found += start > 0
        assert start == end == 0 or any(text in words for words in THEMES.values())
    assert found >= len(TRAIN)


def test_a_trained_head_goes_every_verb_from_python(finished: Path, tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(finished, task=TASK)
    small = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
    student = optimizer.initialize(small, calibration_dataset=TRAIN)
    assert isinstance(student, BertForQuestionAnswering)
    optimizer.export(student, tmp_path / "out")
    assert optimizer.served_scores(tmp_path / "out", DEV, file_name="onnx/model.onnx") == pytest.approx(
        optimizer.scores(student, DEV), abs=CLOSE
    )


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ({"text": ["cat"], "answer_start": [4]}, 4),
        ({"text": ["cat"], "answer_start": [0]}, 4),
        ({"text": ["cat"], "answer_start": [99]}, 4),
        ({"text": ["dog"], "answer_start": [4]}, None),
        ({"text": [], "answer_start": []}, None),
        ({"text": ["dog", "cat"], "answer_start": [4, 4]}, 4),
    ],
)
def test_answers_that_do_not_stand_in_their_context_are_left_out_and_counted(
    answers: dict[str, Any], kept: int | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"question": "which animals", "context": "the cat", "answers": answers}
    rows = [own, *TRAIN.to_list()]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    for name, others in (("validation", DEV), ("test", TEST)):
        others.to_json(tmp_path / f"{name}.jsonl")
    with caplog.at_level(logging.WARNING):
        found = QUESTIONS.read(DataRequest(source=str(tmp_path))).train
    if kept is None:
        assert len(found) == len(TRAIN)
        assert f"1 of {len(rows)} rows of train are left out" in caplog.text
    else:
        assert found[0]["answers"]["answer_start"] == [kept]


def test_no_context_stands_in_two_splits_that_are_held_out(tmp_path: Path) -> None:
    rows = [{**row, "question": f"{row['question']} {other}"} for row in TRAIN.to_list() for other in ("the", "a")]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    splits = QUESTIONS.read(DataRequest(source=str(tmp_path / "data.json")))
    found = [context for rows in (splits.train, splits.validation, splits.test) for context in set(rows["context"])]
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "a", "context": "b"}], "needs the columns question, context and answers"),
        (
            [{"question": "a", "context": "b", "answers": {"text": ["c"], "answer_start": [0]}}],
            "stand in their contexts",
        ),
        (
            [{"question": "", "context": "b", "answers": {"text": ["b"], "answer_start": [0]}}],
            "stand in their contexts",
        ),
    ],
)
def test_data_without_answers_are_refused(rows: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(rows))
    with pytest.raises(InvalidDataError, match=message):
        QUESTIONS.read(DataRequest(source=str(tmp_path)))


def test_agora_that_was_asked_for_is_refused_at_the_start(
    encoder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"max_length": 32, "agora": {"points_per_mistake": 2}}))
    words = ["run", "--model", encoder, "--task", TASK, "--dataset", data, "--output", tmp_path / "out"]
    message = refused(monkeypatch, capsys, [str(word) for word in (*words, "--config", config)])
    assert "Agora makes new rows of texts with a class each" in message


@pytest.mark.parametrize(
    ("found", "right", "exact", "f1"),
    [
        ("The Eiffel Tower", ["eiffel tower!"], 1.0, 1.0),
        ("a cat sat", ["cat"], 0.0, 2 / 3),
        ("", ["cat"], 0.0, 0.0),
        ("the", ["a"], 1.0, 1.0),
        ("blue sky", ["sky", "the blue sky above"], 0.0, 0.8),
    ],
)
def test_scores_are_those_of_squad(found: str, right: list[str], exact: float, f1: float) -> None:
    assert answer_scores([found], [right]) == pytest.approx({"exact_match": exact, "f1": f1})


def test_rows_without_answers_join_and_teach_nothing_by_labels(encoder: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(encoder, task=TASK, max_length=32)
    rows, further = optimizer.rows(TRAIN.select(range(3))), TRAIN.select(range(3, 5))
    for unlabeled in (further, further.remove_columns("answers")):
        joined = join_unlabeled(rows, optimizer.rows(unlabeled, needs_labels=False))
        assert joined["start_positions"][: len(rows)] == rows["start_positions"][:]
        assert set(joined["start_positions"][len(rows) :] + joined["end_positions"][len(rows) :]) == {-100}
    batch = dict(pad_rows(optimizer.tokenizer)([joined[index] for index in range(len(rows), len(joined))]))
    output = optimizer.teacher(**{name: value for name, value in batch.items() if name in ("input_ids",)})
    loss = SPANS.label_loss(output, batch)
    loss.backward()
    assert loss == 0.0
    assert not optimizer.teacher.qa_outputs.weight.grad.any()
    with pytest.raises(InvalidConfigError, match="Leave num_augmented_copies at 0"):
        require_copyable(optimizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmark_task": "glue/qnli"}, "--benchmark-task glue/qnli"),
        ({"columns": Columns(problem_type="regression")}, "--problem-type regression"),
        ({"columns": Columns(text="q", label="a")}, "--text-column q, --label-column a"),
    ],
)
def test_options_of_other_tasks_are_refused(options: dict[str, Any], message: str, data: Path) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        QUESTIONS.read(DataRequest(source=str(data), **options))


def test_a_student_that_answers_questions_is_not_scored_on_a_benchmark(tmp_path: Path) -> None:
    artifact: Any = SimpleNamespace(path=tmp_path, question={"task": TASK})
    rows = Dataset.from_dict({"text": ["a"], "text_pair": ["b"], "label": [0]})
    with pytest.raises(InvalidConfigError, match="Only students of texts with a label"):
        score_diagnostic(artifact, "glue/ax", rows)
