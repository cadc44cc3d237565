"""Multiple choice the whole way: files as RACE, COPA, SWAG and ARC have them, every verb, the served folder."""

import json
import logging
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from datasets import Dataset
from starlette.testclient import TestClient
from transformers import BertForMultipleChoice, PreTrainedModel, TrainingArguments

from optimum_ose import Architecture, OSEOptimizer
from optimum_ose.commands.request import RunRequest, request_of
from optimum_ose.commands.run import RunCommand
from optimum_ose.configuration import DistillationConfig, ExportConfig
from optimum_ose.data.choice_rows import choice_pairs, usable_choices
from optimum_ose.data.choices import choice_splits
from optimum_ose.data.request import DataRequest
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.optimizer.augmentation import require_copyable
from optimum_ose.serialization import read_json
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.app import PredictionApp
from runs import SETTINGS, Arguments, run
from themes import FILLERS, THEMES, teacher_config, trained_teacher, word_tokenizer

TASK = "multiple-choice"
CLOSE = 1e-5


def questions(num_rows: int, seed: int) -> Dataset:
    """Which of three words is of the same theme?"""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(num_rows):
        theme = str(generator.choice(list(THEMES)))
        choices = [str(generator.choice(THEMES[other])) for other in THEMES if other != theme]
        right = int(generator.integers(3))
        asked, same = (str(word) for word in generator.choice(THEMES[theme], size=2))
        choices.insert(right, same)
        filler = " ".join(generator.choice(FILLERS, size=4))
        rows.append({"question": f"{filler} {asked}", "choices": choices, "answer": right})
    return Dataset.from_list(rows)


def model() -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = teacher_config(num_labels=1, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})
        return BertForMultipleChoice(config).eval()


RACE = {"article": "a", "question": "why?", "options": ["i", "j", "k", "l"], "answer": "C"}
COPA = {"premise": "it is wet", "choice1": "it rained", "choice2": "it shone", "question": "cause", "label": 0}
SWAG = {"sent1": "he sits", "sent2": "he", **{f"ending{n}": f"ends {n}" for n in range(4)}, "label": 3}
ARC = {"question": "what?", "choices": {"text": ["i", "j", "k"], "label": ["1", "2", "3"]}, "answerKey": "2"}
HELLASWAG = {"ctx": "he sits", "endings": ["i", "j"], "label": "1"}
PIQA = {"goal": "to sit", "sol1": "i", "sol2": "j", "label": 1}
BY_TEXT = {"question": "what?", "choices": ["i", "j"], "answer": "j"}


@pytest.mark.parametrize(
    ("row", "pairs", "answer"),
    [
        (RACE, [("a", "why? i"), ("a", "why? j"), ("a", "why? k"), ("a", "why? l")], 2),
        (COPA, [("it is wet", "because it rained"), ("it is wet", "because it shone")], 0),
        (SWAG, [("he sits", f"he ends {n}") for n in range(4)], 3),
        (ARC, [("what?", "i"), ("what?", "j"), ("what?", "k")], 1),
        (HELLASWAG, [("he sits", "i"), ("he sits", "j")], 1),
        (PIQA, [("to sit", "i"), ("to sit", "j")], 1),
        (BY_TEXT, [("what?", "i"), ("what?", "j")], 1),
    ],
)
def test_rows_are_read_as_their_data_sets_have_them(row: dict[str, Any], pairs: list[Any], answer: int) -> None:
    (found,) = usable_choices(Dataset.from_list([row]))
    assert choice_pairs(found) == pairs
    assert found["answer"] == answer


def write(folder: Path, rows: list[dict[str, Any]]) -> DataRequest:
    pd.DataFrame(rows).to_json(folder / "train.jsonl", orient="records", lines=True)
    return DataRequest(source=str(folder / "train.jsonl"))


def test_questions_without_choices_or_with_another_answer_are_left_out_and_counted(tmp_path: Path, caplog) -> None:
    good = [{**RACE, "article": f"text {n}"} for n in range(20)]
    bad = [{**RACE, "options": []}, {**RACE, "options": ["i"]}, {**RACE, "answer": "E"}, {**RACE, "answer": "?"}]
    with caplog.at_level(logging.WARNING):
        splits = choice_splits(write(tmp_path, [*good, *bad, {**RACE, "options": ["i", "j"], "answer": "A"}]))
    assert "4 of 25 questions of train have fewer than two choices, or an answer that is none of them" in caplog.text
    assert "1 of 21 questions of train have another number of choices than 4" in caplog.text
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [16, 2, 2]


def test_questions_on_one_context_stay_together(tmp_path: Path) -> None:
    rows = [{**RACE, "article": f"text {n}", "question": f"q{m}"} for n in range(20) for m in range(3)]
    splits = choice_splits(write(tmp_path, rows))
    parts = (splits.train, splits.validation, splits.test)
    contexts = [set(part["context"]) for part in parts]
    assert not contexts[0] & contexts[1]
    assert not contexts[0] & contexts[2]
    assert not contexts[1] & contexts[2]
    assert all(len(part) == 3 * len(found) for part, found in zip(parts, contexts, strict=True))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "a", "label": 1}], "lacks choices"),
        ([{"options": ["a", "b"], "answer": "A"}], "lacks question"),
        ([{**RACE, "answer": "Z"}], "at least two choices, one of which is the answer; no row of train has"),
    ],
)
def test_data_without_questions_are_told(rows, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=message):
        choice_splits(write(tmp_path, rows))


def test_copa_and_race_are_questions_with_choices_where_no_task_is_named() -> None:
    parser = ArgumentParser()
    RunCommand.parse_args(parser)
    plain = ["--model", "m", "--dataset", "d", "--output", "o"]

    def asked(*words: str) -> RunRequest:
        return request_of(parser.parse_args([*plain, *words]))

    assert asked("--benchmark-task", "race/high").task == TASK
    assert asked("--benchmark-task", "superglue/copa").task == TASK
    assert asked("--benchmark-task", "superglue/record").task == "text-classification"
    assert asked("--benchmark-task", "race/high", "--task", "text-classification").task == "text-classification"
    assert asked().task == "text-classification"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreTrainedModel, OSEOptimizer]:
    """A student that went through every verb."""
    folder = tmp_path_factory.mktemp("choices")
    optimizer = OSEOptimizer(model(), word_tokenizer(), task=TASK, max_length=32)
    train, dev = questions(48, 0), questions(24, 1)
    space = optimizer.search_space()
    student = optimizer.initialize(
        Architecture({**space.maximum_point, "num_hidden_layers": 2}), calibration_dataset=train
    )
    optimizer.distill(student, train, DistillationConfig(num_steps=4, batch_size=8))
    args = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=1,
        eval_strategy="epoch",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
        save_strategy="no",
    )
    optimizer.finetune(student, train_dataset=train, eval_dataset=dev, args=args)
    config = ExportConfig(quantization="static-int8")
    optimizer.export(student, folder / "out", config, calibration_dataset=train)
    return folder / "out", student, optimizer


def test_the_exported_file_has_questions_choices_and_tokens(exported) -> None:
    folder, _, _ = exported
    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", "num_choices", "sequence"]
    assert session.get_outputs()[0].shape == ["batch", "num_choices"]
    ids = np.ones((2, 5, 7), dtype=np.int64)
    feeds = {item.name: ids for item in session.get_inputs()}
    assert session.run(None, feeds)[0].shape == (2, 5)


def test_served_choices_are_those_of_the_model(exported) -> None:
    folder, student, optimizer = exported
    dev = questions(24, 1)
    pipeline = OnnxPipeline.from_pretrained(folder, file_name="onnx/model.onnx")
    found = pipeline([{"question": row["question"], "choices": row["choices"]} for row in dev])
    logits = predict_logits(student, optimizer.rows(dev), tokenizer=optimizer.tokenizer)
    expected = torch.from_numpy(logits).softmax(-1).numpy()
    assert np.abs(expected - np.array([item["scores"] for item in found])).max() < CLOSE
    assert [item["choice"] for item in found] == [
        row["choices"][index] for row, index in zip(dev, logits.argmax(1), strict=True)
    ]
    scores = optimizer.served_scores(folder, dev, file_name="onnx/model.onnx")
    assert scores == pytest.approx(optimizer.scores(student, dev))
    assert (folder / "onnx" / "model_quantized.onnx").is_file()
    assert optimizer.served_scores(folder, dev, file_name="onnx/model_quantized.onnx").keys() == {"accuracy"}


def test_the_server_answers_questions_and_refuses_others(exported) -> None:
    folder, _, _ = exported
    pipeline = OnnxPipeline.from_pretrained(folder, file_name="onnx/model.onnx")
    asked = [
        {"context": "the cat", "question": "a", "choices": ["dog", "saw"]},
        {"question": "the pie", "choices": ["rice", "axe", "hen"]},
    ]
    with TestClient(PredictionApp(pipeline, name="choices")) as client:
        answer = client.post("/predict", json={"inputs": asked})
        assert answer.status_code == 200
        for item, own in zip(answer.json(), pipeline(asked), strict=True):
            assert item["scores"] == pytest.approx(own["scores"], abs=CLOSE)
            assert item["choice"] == own["choice"]
        for wrong in ({"question": "a", "choices": ["dog"]}, {"choices": ["a", "b"]}, {"question": "a"}, "a text"):
            refusal = client.post("/predict", json={"inputs": wrong})
            assert refusal.status_code == 400
            assert "a question, its choices and maybe a context" in refusal.json()["error"]
        assert client.get("/ready").status_code == 200
        pairs = [
            {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["the pie"]},
            {"name": "text_pair", "shape": [1], "datatype": "BYTES", "data": ["rice"]},
        ]
        outputs = client.post("/v2/models/choices/infer", json={"inputs": pairs}).json()["outputs"]
        assert [item["name"] for item in outputs] == ["score"]


def test_one_command_makes_a_student_of_race_shaped_files(
    tmp_path: Path, arguments: Arguments, monkeypatch, capsys
) -> None:
    trained_teacher().bert.save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "data").mkdir()
    for split, count, seed in (("train", 40, 0), ("validation", 9, 1), ("test", 9, 2)):
        rows = [
            {"article": row["question"], "question": "which", "options": row["choices"], "answer": "ABC"[row["answer"]]}
            for row in questions(count, seed)
        ]
        pd.DataFrame(rows).to_json(tmp_path / "data" / f"{split}.jsonl", orient="records", lines=True)
    (tmp_path / "ose.yaml").write_text(json.dumps(SETTINGS))
    words = arguments(
        tmp_path / "out",
        model=tmp_path / "model",
        dataset=tmp_path / "data",
        config=tmp_path / "ose.yaml",
        benchmark_task="race/high",
    )
    run(monkeypatch, words)
    assert "race/high on the test rows, in percent: accuracy" in capsys.readouterr().out
    benchmark = read_json(tmp_path / "out" / "ose" / "benchmark.json")
    assert benchmark["metric"] == "accuracy"
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"pipeline_tag: {TASK}" in card
    assert '"choices"' in card
    assert "curl" in card


def test_answers_that_are_numbered_as_their_choices_count_from_one(tmp_path: Path, caplog) -> None:
    rows = [{"sentence": f"the _ of {n}", "option1": "i", "option2": "j", "answer": str(n % 2 + 1)} for n in range(20)]
    with caplog.at_level(logging.WARNING):
        found = usable_choices(Dataset.from_list(rows))
    assert found["answer"][:] == [n % 2 for n in range(20)]
    assert "are read as numbers from 1" in caplog.text
    pd.DataFrame(rows[:1]).to_json(tmp_path / "test.jsonl", orient="records", lines=True)  # one row does not tell
    pd.DataFrame(rows[1:]).to_json(tmp_path / "train.jsonl", orient="records", lines=True)
    assert choice_splits(DataRequest(source=str(tmp_path))).test["answer"][:] == [0]
    caplog.clear()
    copa = [{**COPA, "label": label} for label in (1, 0, 1)]
    assert usable_choices(Dataset.from_list(copa))["answer"][:] == [1, 0, 1]
    assert usable_choices(Dataset.from_list(copa[:1]))["answer"][:] == [1]
    assert not caplog.text


@pytest.mark.parametrize(("answers", "places"), [(["1", "0"], [1, 0]), (["1", "j"], [0, 1]), (["1", "5"], [0, 2])])
def test_a_number_is_a_place_before_it_is_a_text_where_all_answers_are_places(
    answers: list[str], places: list[int]
) -> None:
    rows = [
        {"question": "what?", "choices": choices, "answer": answer}
        for choices, answer in zip((["1", "0", "2"], ["i", "j", "5"]), answers, strict=True)
    ]
    assert usable_choices(Dataset.from_list(rows))["answer"][:] == places


def test_copies_of_questions_with_choices_are_refused_before_the_search() -> None:
    optimizer = OSEOptimizer(model(), word_tokenizer(), task=TASK)
    with pytest.raises(InvalidConfigError, match="Leave num_augmented_copies at 0"):
        require_copyable(optimizer)
