"""Claims about the metrics."""

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.finetuning.metrics import ClassificationMetric, compute_metrics_for


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
    with pytest.raises(
        UnsupportedModelError, match=r"metrics are known for .*; got the task 'ranking'\. Pass your own"
    ):
        compute_metrics_for("ranking")
