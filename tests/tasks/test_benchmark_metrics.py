"""Each of the 23 benchmark tasks on a tiny file, judged as its paper says: the values are computed by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from optimum_ose.data.answer_words import plain_answer, word_f1
from optimum_ose.data.benchmark_data import diagnostic_rows
from optimum_ose.data.benchmark_tasks import BENCHMARK_TASKS
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.tasks.parts.benchmark_metrics import benchmark_metric

ONE = {"sentence": "it {}"}
TWO = {"sentence1": "a {}", "sentence2": "b {}"}
NLI = {"premise": "a {}", "hypothesis": "b {}"}


def rows_of(columns, labels, **further):
    """A row for each label; {} in a text is its number."""
    return [
        {name: text.format(number) for name, text in columns.items()}
        | {"label": label}
        | {name: values[number] for name, values in further.items()}
        for number, label in enumerate(labels)
    ]


COPA = [
    {"premise": f"p{n}", "choice1": "x", "choice2": "y", "question": "cause", "label": label}
    for n, label in enumerate([0, 1, 1, 0])
]
MULTIRC = [
    {"paragraph": "p", "question": question, "answer": answer, "label": label}
    for question, answer, label in [
        *(("one?", "a", 1), ("one?", "b", 0), ("one?", "c", 1)),
        *(("two?", "a", 1), ("two?", "b", 0)),
        *(("three?", "a", 0), ("three?", "b", 1)),
    ]
]
RECORD = [
    {"passage": "p", "query": "@placeholder ran", "entities": ["Ann Lee", "Bob"], "answers": ["Ann Lee"]},
    {"passage": "p", "query": "@placeholder sat", "entities": ["the Lee", "Ann Lee"], "answers": ["Ann Lee"]},
    {"passage": "p", "query": "@placeholder won", "entities": ["Bob", "The U.S."], "answers": ["US", "America"]},
]
RACE = [
    {"article": f"p{n}", "question": "why?", "options": ["i", "j", "k", "l"], "answer": answer}
    for n, answer in enumerate("ABCD")
]
WIC = {"word": "bed", "sentence1": "a {}", "sentence2": "b {}"}
WSC = {"text": "a {}", "span1_text": "b", "span2_text": "c"}
BOOLQ = {"question": "a {}", "passage": "b {}"}
QQP = {"question1": "a {}", "question2": "b {}"}
QNLI = {"question": "a {}", "sentence": "b {}"}
BINARY = [1, 1, 0, 0, 1]
"""Labels; found are always [1, 0, 0, 1, 1]: 2 of the class 1 right, 1 wrong, 1 missed; 1 of the class 0 right."""
FOUND = [1, 0, 0, 1, 1]
F1 = 2 * 2 / (3 + 3)
MCC = (2 * 1 - 1 * 1) / math.sqrt(3 * 3 * 2 * 2)
THREE, FOUND_THREE = [0, 0, 1, 2], [0, 1, 1, 1]
MCC_THREE = (2 * 4 - (2 * 1 + 1 * 3 + 1 * 0)) / math.sqrt((16 - (1 + 9 + 0)) * (16 - (4 + 1 + 1)))
"""Of three classes: (c s - sum t p) / sqrt((s^2 - sum p^2) (s^2 - sum t^2)), Gorodkin's R_K."""

CASES = {
    "glue/cola": (rows_of(ONE, BINARY), FOUND, {"matthews_correlation": MCC}),
    "glue/sst2": (rows_of(ONE, BINARY), FOUND, {"accuracy": 0.6}),
    "glue/mrpc": (rows_of(TWO, BINARY), FOUND, {"f1": F1, "accuracy": 0.6}),
    "glue/qqp": (rows_of(QQP, BINARY), FOUND, {"f1": F1, "accuracy": 0.6}),
    "glue/stsb": (
        rows_of(TWO, [0.0, 1.0, 2.0, 5.0]),
        [0.0, 2.0, 1.0, 3.0],
        {"spearman": 1 - 6 * 2 / (4 * 15), "pearson": 7 / math.sqrt(14 * 5)},
    ),
    "glue/mnli": (rows_of(NLI, THREE), FOUND_THREE, {"accuracy": 0.5}),
    "glue/qnli": (rows_of(QNLI, BINARY), FOUND, {"accuracy": 0.6}),
    "glue/rte": (rows_of(TWO, BINARY), FOUND, {"accuracy": 0.6}),
    "glue/wnli": (rows_of(TWO, BINARY), FOUND, {"accuracy": 0.6}),
    "glue/ax": (rows_of(NLI, THREE), FOUND_THREE, {"matthews_correlation": MCC_THREE}),
    "superglue/boolq": (rows_of(BOOLQ, BINARY), FOUND, {"accuracy": 0.6}),
    "superglue/cb": (
        rows_of(NLI, THREE),
        FOUND_THREE,
        {"f1_macro": (2 / 3 + 2 / 4 + 0) / 3, "accuracy": 0.5},
    ),
    # chosen: the first, the second, the first, the first of two that are alike
    "superglue/copa": (COPA, [2.0, 1.0, -1.0, 0.5, 3.0, 1.0, 0.0, 0.0], {"accuracy": 0.75}),
    # right answers 4, found 4, of which 3 are right; all of "one?" and none of the others told rightly
    "superglue/multirc": (
        MULTIRC,
        [1, 0, 1, 1, 1, 0, 0],
        {"f1_a": 2 * 3 / (4 + 4), "exact_match": 1 / 3, "f1_m": (1 + 2 / 3 + 0) / 3},
    ),
    # chosen: Ann Lee (right), "the Lee" (half of the words of Ann Lee), The U.S. (US, once normalized)
    "superglue/record": (
        RECORD,
        [1.0, 0.0, 2.0, 1.0, -1.0, 0.0],
        {"f1": (1 + 2 / 3 + 1) / 3, "exact_match": 2 / 3},
    ),
    "superglue/rte": (rows_of(NLI, BINARY), FOUND, {"accuracy": 0.6}),
    "superglue/wic": (rows_of(WIC, BINARY), FOUND, {"accuracy": 0.6}),
    "superglue/wsc": (rows_of(WSC, BINARY), FOUND, {"accuracy": 0.6}),
    "superglue/axb": (rows_of(TWO, BINARY), FOUND, {"matthews_correlation": MCC}),
    # pairs: (1, 0) differ, (0, 1) differ, 1 alone is alike
    "superglue/axg": (
        rows_of(NLI, BINARY, pair_id=["x", "x", "y", "y", "z"]),
        FOUND,
        {"accuracy": 0.6, "gender_parity": 1 / 3},
    ),
    # chosen: A, B, D instead of C, the first of equals instead of D
    **dict.fromkeys(
        ("race/all", "race/middle", "race/high"),
        (RACE, [9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0], {"accuracy": 0.5}),
    ),
}
"""Name -> rows, the class, number or strength of each text, and the scores."""


def logits_of(name: str, found: list[float]) -> np.ndarray:
    """Logits that say so, in the benchmark's order of classes."""
    task = BENCHMARK_TASKS[name]
    values = np.asarray(found, dtype=np.float32)
    if task.kind == "number":
        return values[:, None]
    if task.form == "choices":
        return np.stack([np.zeros(len(values)), values], axis=1)
    return np.eye(len(task.label_names), dtype=np.float32)[values.astype(int)]


def token_rows(name: str, tmp_path) -> Dataset:
    pd.DataFrame(CASES[name][0]).to_parquet(tmp_path / "test.parquet")
    rows = diagnostic_rows(str(tmp_path), name)
    return rows.add_column("labels", rows["label"][:])


def test_every_task_has_a_case() -> None:
    assert CASES.keys() == BENCHMARK_TASKS.keys()


@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_that_the_paper_defines(name, tmp_path) -> None:
    _, found, wanted = CASES[name]
    metric = benchmark_metric(name)
    assert metric.scores(logits_of(name, found), token_rows(name, tmp_path)) == pytest.approx(wanted)
    assert metric.name == next(iter(wanted))
    assert set(metric.score_names) == set(wanted)


@pytest.mark.parametrize("name", [name for name in CASES if BENCHMARK_TASKS[name].kind != "number"])
def test_the_order_of_the_heads_classes_changes_nothing(name, tmp_path) -> None:
    _, found, wanted = CASES[name]
    names = BENCHMARK_TASKS[name].label_names
    order = list(reversed(range(len(names))))
    rows = token_rows(name, tmp_path)
    rows = rows.remove_columns("labels").add_column("labels", [order.index(label) for label in rows["label"]])
    metric = benchmark_metric(name, [names[index].upper() for index in order])
    assert metric.scores(logits_of(name, found)[:, order], rows) == pytest.approx(wanted)


@pytest.mark.parametrize("name", CASES)
def test_served_answers_score_what_their_logits_score(name, tmp_path) -> None:
    _, found, wanted = CASES[name]
    names = BENCHMARK_TASKS[name].label_names or ("LABEL_0",)
    logits = logits_of(name, found)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) if len(names) > 1 else logits
    answers = [
        sorted(
            ({"label": label, "score": float(share)} for label, share in zip(names, row, strict=True)),
            key=lambda item: -item["score"],
        )
        for row in shares
    ]
    metric = benchmark_metric(name, names)
    rows = token_rows(name, tmp_path)
    assert metric.judged(metric.served(answers, names), rows["labels"][:], rows) == pytest.approx(wanted)


def test_rows_that_do_not_tell_their_question_are_refused(tmp_path) -> None:
    rows = token_rows("superglue/copa", tmp_path).remove_columns("group")
    with pytest.raises(InvalidDataError, match="which of them belong together"):
        benchmark_metric("superglue/copa").scores(np.zeros((8, 2)), rows)


def test_a_random_choice_is_what_a_teacher_must_beat() -> None:
    assert benchmark_metric("race/all").trivial_score([1, 0, 0, 0] * 5) == 0.25
    assert benchmark_metric("glue/cola").trivial_score([1, 0, 1]) == 0
    assert benchmark_metric("superglue/multirc").trivial_score([1, 0, 0]) == pytest.approx(0.5)
    assert benchmark_metric("glue/stsb").trivial_score([1.0, 2.0]) == 0


def test_answers_are_compared_as_those_of_squad() -> None:
    assert plain_answer("The  U.S., an ally") == "us ally"
    assert word_f1("New York City", "york city") == pytest.approx(2 * 2 / 5)
    assert word_f1("the cat", "a dog") == 0
