"""Claims about the metrics."""

import evaluate
import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.finetuning.metrics import TaskMetric, compute_metrics_for
from optimum_ose.tasks.parts.metrics import ClassificationMetric
from optimum_ose.tasks.parts.multi_label import MULTI_LABEL
from optimum_ose.tasks.parts.regression import REGRESSION
from optimum_ose.tasks.parts.token_labels import TagMetric


@pytest.fixture
def metric(tmp_path):
    return ClassificationMetric(keep_in_memory=True, cache_dir=str(tmp_path))


def test_the_metric_speaks_evaluates_interface(metric):
    metric.add_batch(predictions=[0, 1], references=[0, 1])
    metric.add(prediction=1, reference=0)
    assert metric.compute() == {"accuracy": pytest.approx(2 / 3), "f1_macro": pytest.approx(2 / 3)}


def test_the_metric_combines_with_others(metric):
    assert evaluate.combine([metric]).compute(predictions=[1], references=[1])["accuracy"] == 1.0


@settings(max_examples=25, deadline=None)
@given(arrays(np.int64, (12,), elements=st.integers(0, 3)), arrays(np.int64, (12,), elements=st.integers(0, 3)))
def test_the_scores_are_those_of_scikit_learn(answers, references):
    scores = compute_metrics_for("text-classification")(EvalPrediction(np.eye(4)[answers], references))
    assert scores == {
        "accuracy": accuracy_score(references, answers),
        "f1_macro": f1_score(references, answers, average="macro", zero_division=0),
    }


def test_hidden_states_beside_the_logits_are_ignored():
    prediction = EvalPrediction((np.eye(2), np.zeros((2, 5))), np.array([0, 1]))
    assert compute_metrics_for("text-classification")(prediction)["accuracy"] == 1.0


def test_unlabeled_positions_do_not_count():
    logits = np.eye(3)[np.array([[0, 1, 2], [2, 2, 2]])]
    references = np.array([[0, 1, -100], [2, -100, -100]])
    assert compute_metrics_for("token-classification")(EvalPrediction(logits, references))["accuracy"] == 1.0


def test_an_unknown_task_is_refused():
    with pytest.raises(UnsupportedModelError, match="task must be one of .*text-classification.*; got 'ranking'"):
        compute_metrics_for("ranking")


def test_entities_are_scored_as_a_whole():
    names = ("O", "B-x", "I-x")
    rows = Dataset.from_dict({"input_ids": [[2, 5, 6, 3]], "labels": [[-100, 1, 2, -100]]})
    half = np.eye(3)[[0, 1, 0, 0]]
    metric = TagMetric(label_names=names)
    assert metric.name == "f1"
    assert metric.scores(half, rows)["f1"] == 0.0
    assert metric.scores(half, rows)["accuracy"] == 0.5
    assert metric.score(np.eye(3)[[0, 1, 2, 0]], rows) == 1.0
    padded = EvalPrediction(np.eye(3)[[[0, 1, 2, 0]]], np.array([[-100, 1, 2, -100]]))
    assert metric.compute(padded)["f1"] == 1.0


def test_tags_that_mark_no_entities_are_scored_by_accuracy():
    assert TagMetric(label_names=("NOUN", "VERB")).name == "accuracy"


@settings(max_examples=25, deadline=None)
@given(arrays(np.int64, (12,), elements=st.integers(-9, 9)), st.sampled_from([0.5, 2, 4]), st.integers(-3, 3))
def test_correlation_does_not_change_with_unit_and_zero(numbers, scale, shift):
    metric = REGRESSION.metric(())
    rows = Dataset.from_dict({"labels": np.linspace(0, 5, 12).tolist()})
    found = metric.score(numbers[:, None], rows)
    assert -1.0 <= found <= 1.0
    assert metric.score(scale * numbers[:, None] + shift, rows) == pytest.approx(found)


def test_an_answer_that_never_varies_has_no_correlation():
    rows = Dataset.from_dict({"labels": [0.0, 1.0, 2.0]})
    assert REGRESSION.metric(()).scores(np.ones((3, 1)), rows) == {"spearman": 0.0, "pearson": 0.0}


def test_sets_of_classes_are_judged_class_by_class():
    rows = Dataset.from_dict({"labels": [[1.0, 0.0], [1.0, 1.0]]})
    metric = MULTI_LABEL.metric(())
    assert metric.score(np.array([[2.0, -1], [1, 3]]), rows) == 1.0
    assert metric.scores(np.array([[2.0, 1], [1, 3]]), rows) == {
        "accuracy": 0.5,
        "f1_micro": pytest.approx(6 / 7),
        "f1_macro": pytest.approx((1 + 2 / 3) / 2),
    }


def test_a_metric_is_found_by_the_name_of_the_answers():
    assert TaskMetric(problem="token-labels", label_names=("O", "B-x")).name == "f1"
    assert TaskMetric(problem=str(REGRESSION)).name == "spearman"
    with pytest.raises(UnsupportedModelError, match="problem must be one of single-label, .*; got 'ranking'"):
        TaskMetric(problem="ranking")
