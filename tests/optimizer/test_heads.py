"""An unnamed head gets the names of the data's classes where its predictions tell which is which, and only there."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature

from optimum_ose import OSEOptimizer
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.optimizer.heads import match_by_predictions
from themes import THEMES, theme_table, trained_teacher, word_tokenizer

NAMES = ["apple", "bee", "cat"]
UNCLEAR = r"must have names .*LABEL_0 to LABEL_2, and its answers to .* fit .* in no clear way. Write id2label"


def logits_of(outputs: Any, *, num_wrong: int = 0, seed: int = 0) -> Any:
    """Logits that are highest at these outputs, except for some rows, which are highest anywhere."""
    generator = np.random.default_rng(seed)
    chosen = np.array(outputs)
    wrong = generator.choice(len(chosen), size=num_wrong, replace=False)
    chosen[wrong] = generator.integers(0, 3, num_wrong)
    return np.eye(3, dtype=np.float32)[chosen] * 4 - 2


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("num_wrong", [0, 30])
def test_a_head_in_any_order_is_named_by_what_it_predicts(order: tuple[int, ...], num_wrong: int) -> None:
    labels = np.arange(90) % 3
    outputs = np.array(order)[labels]
    found = match_by_predictions(NAMES, logits_of(outputs, num_wrong=num_wrong), labels)
    assert [found[output] for output in order] == NAMES


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_head_of_sets_is_named_in_the_same_way(order: tuple[int, ...]) -> None:
    sets = np.random.default_rng(0).integers(0, 2, (90, 3))
    logits = np.zeros((90, 3), dtype=np.float32)
    logits[:, list(order)] = 4.0 * sets - 2
    found = match_by_predictions(NAMES, logits, sets)
    assert [found[output] for output in order] == NAMES


def test_predictions_that_do_not_tell_are_refused() -> None:
    labels = np.arange(90) % 3
    generator = np.random.default_rng(1)
    cases = {
        "chance": logits_of(generator.integers(0, 3, 90)),
        "one output for all": logits_of(np.zeros(90, dtype=int)),
        "two classes that share an output": logits_of(np.array([0, 1, 1])[labels]),
        "a tie": logits_of(np.where(np.arange(90) < 45, labels, np.array([0, 2, 1])[labels])),
    }
    for logits in cases.values():
        with pytest.raises(InvalidDataError, match=UNCLEAR):
            match_by_predictions(NAMES, logits, labels)
    with pytest.raises(InvalidDataError, match=UNCLEAR):
        match_by_predictions(NAMES, logits_of([0, 1, 2]), np.arange(3))  # right, but too few rows


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="the data has 2: apple, bee; the teacher has 3 without names"):
        match_by_predictions(NAMES[:2], logits_of([0, 1]), np.arange(2))


def unnamed_teacher(order: list[int]) -> Any:
    """A trained teacher whose head has lost its names, and whose output k is the class order[k] of the themes."""
    model: Any = trained_teacher()
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight[order].clone())
        model.classifier.bias.copy_(model.classifier.bias[order].clone())
    model.config.id2label = {index: f"LABEL_{index}" for index in range(3)}
    model.config.label2id = {f"LABEL_{index}": index for index in range(3)}
    return model


def theme_rows(num_rows: int, names: list[str]) -> Dataset:
    table = theme_table(num_rows, seed=7)
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    labels = [names.index(theme) for theme in table["label"]]
    return Dataset.from_dict({"text": table["text"].to_list(), "label": labels}, features=features)


def test_a_teacher_with_an_unnamed_head_scores_what_it_scores_with_names(capsys: pytest.CaptureFixture[str]) -> None:
    rows = theme_rows(120, ["tools", "food", "animals"])
    named = OSEOptimizer(trained_teacher(), word_tokenizer(), task="text-classification")
    optimizer = OSEOptimizer(unnamed_teacher([1, 2, 0]), word_tokenizer(), task="text-classification")
    optimizer.prepare(rows)
    assert optimizer.teacher.config.id2label == {0: "food", 1: "tools", 2: "animals"}
    assert optimizer.teacher.config.label2id == {"food": 0, "tools": 1, "animals": 2}
    assert optimizer.score(optimizer.teacher, rows) == named.score(named.teacher, rows) > 0.8
    assert capsys.readouterr().err.count("0 is food, 1 is tools, 2 is animals") == 1


def test_an_untrained_unnamed_head_is_refused_before_its_config_changes() -> None:
    model = unnamed_teacher([0, 1, 2])
    torch.nn.init.zeros_(model.classifier.weight)
    optimizer = OSEOptimizer(model, word_tokenizer(), task="text-classification")
    with pytest.raises(InvalidDataError, match=UNCLEAR):
        optimizer.prepare(theme_rows(60, list(THEMES)))
    assert model.config.id2label == {index: f"LABEL_{index}" for index in range(3)}


def test_sets_of_classes_name_a_head_and_its_problem() -> None:
    rows = theme_rows(120, list(THEMES))
    labels = [[label] for label in rows["label"]]
    sets = rows.remove_columns("label").add_column("label", labels, feature=ListFeature(ClassLabel(names=list(THEMES))))
    model = unnamed_teacher([2, 0, 1])
    with torch.no_grad():
        model.classifier.bias -= 1.0
    model.config.problem_type = None
    optimizer = OSEOptimizer(model, word_tokenizer(), task="text-classification")
    optimizer.prepare(sets)
    assert list(optimizer.teacher.config.id2label.values()) == ["tools", "animals", "food"]
    assert optimizer.teacher.config.problem_type == "multi_label_classification"
