"""A teacher that is no better than an answer that ignores the input ends a run."""

from typing import Any

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value

from optimum_ose import OSEOptimizer
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.finetuning.trivial import required_score
from optimum_ose.optimizer.judging import MIN_ROWS, judge_teacher
from themes import THEMES, theme_table, trained_teacher, word_tokenizer


def rows(num_rows: int, *, turned_by: int = 0) -> Dataset:
    table = theme_table(num_rows, seed=3)
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(THEMES))})
    labels = [(list(THEMES).index(theme) + turned_by) % 3 for theme in table["label"]]
    return Dataset.from_dict({"text": table["text"].to_list(), "label": labels}, features=features)


@pytest.fixture(scope="module")
def optimizer() -> OSEOptimizer:
    return OSEOptimizer(trained_teacher(), word_tokenizer(), task="text-classification")


def share_of_the_most_frequent(dataset: Dataset) -> float:
    labels = dataset["label"][:]
    return max(labels.count(label) for label in set(labels)) / len(labels)


def test_a_good_teacher_passes_and_is_told_beside_the_constant_answer(optimizer: OSEOptimizer) -> None:
    dataset = rows(90)
    found = judge_teacher(optimizer, dataset)
    assert found == {
        "metric": "accuracy",
        "validation_score": optimizer.score(optimizer.teacher, dataset),
        "trivial_score": pytest.approx(share_of_the_most_frequent(dataset)),
        "trivial_answer": "always answering the most frequent class",
    }
    assert found["validation_score"] > required_score(found["trivial_score"], 90)


@pytest.mark.parametrize("num_rows", [MIN_ROWS, 90])
def test_labels_of_other_texts_end_the_run(optimizer: OSEOptimizer, num_rows: int) -> None:
    dataset = rows(num_rows, turned_by=1)
    told = rf"on {num_rows} validation rows it has accuracy 0\.\d{{4}}; always answering the most frequent class has"
    with pytest.raises(InvalidDataError, match=rf"better than a constant answer, by more than chance; {told} 0\.\d"):
        judge_teacher(optimizer, dataset)


def test_a_teacher_that_always_answers_the_same_ends_the_run() -> None:
    model: Any = trained_teacher()
    torch.nn.init.zeros_(model.classifier.weight)
    constant = OSEOptimizer(model, word_tokenizer(), task="text-classification")
    with pytest.raises(InvalidDataError, match="must be better than a constant answer"):
        judge_teacher(constant, rows(90))


def test_too_few_rows_tell_nothing_and_end_nothing(optimizer: OSEOptimizer) -> None:
    dataset = rows(MIN_ROWS - 1, turned_by=1)
    found = judge_teacher(optimizer, dataset)
    assert found["validation_score"] < found["trivial_score"]
