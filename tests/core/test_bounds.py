import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.core.bounds import monotone_excess, noise_floor, observe, violations
from optimum_ose.core.candidates import Candidates
from optimum_ose.core.question import Question
from optimum_ose.core.trainings import Trainings

VALUES = np.stack([column.ravel() for column in np.meshgrid([1, 2, 3], [1, 2, 3, 4], indexing="ij")], axis=1).astype(
    np.int64
)
SAVINGS = np.linspace(0.9, 0.1, len(VALUES))


def ledger(errors, trained, max_error=math.inf):
    question = Question(
        candidates=Candidates("ab", VALUES),
        parameter_size=np.ones(len(VALUES)),
        inference_cost=np.ones(len(VALUES)),
        savings=SAVINGS,
        maximum_point=(2.0, 2.0),
        max_error=max_error,
    )
    trainings = Trainings(
        question, lambda a, theta: errors[(a.a - 1) * 4 + a.b - 1], hyperparameters=[{}], max_evaluations=99
    )
    for index in trained:
        trainings.train(index)
    return trainings


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.integers(0, 11), min_size=1))
def test_monotone_bounds_are_bounds_on_monotone_errors(seed, trained):
    falls = np.random.default_rng(seed).exponential(size=(3, 4)).cumsum(axis=0).cumsum(axis=1).ravel()
    errors = np.exp(-0.2 * falls)
    trainings = ledger(errors, trained)
    observations, winner = observe(trainings), min(trained)
    excess = monotone_excess(trainings.question, observations, winner, noise=0.0, alpha=0.01, assumption="monotone")
    truth = np.log(SAVINGS / errors) - math.log(SAVINGS[winner] / errors[winner])
    assert (excess >= truth - 1e-9).all()
    assert np.allclose(excess[sorted(trained)], truth[sorted(trained)])
    assert noise_floor(observations) == 0
    assert violations(observations, trainings.question.candidates) == ()


def test_noise_widens_the_bound_of_all_that_the_winner_does_not_bound_itself():
    trainings = ledger(np.linspace(1, 0.5, 12), [0, 5, 11])
    quiet, loud = (
        monotone_excess(trainings.question, observe(trainings), 5, noise=noise, alpha=0.01, assumption="monotone")
        for noise in (0.0, 0.1)
    )
    assert quiet[5] == loud[5] == 0
    below_winner = (VALUES[5] >= VALUES).all(axis=1)
    assert (loud[~below_winner] - quiet[~below_winner] > 0.3).all()
    assert (loud >= quiet).all()


def test_a_larger_candidate_that_is_worse_is_a_violation_and_proves_noise():
    errors = np.full(12, 1.0)
    errors[11] = 1.2
    trainings = ledger(errors, [0, 11])
    observations = observe(trainings)
    (violation,) = violations(observations, trainings.question.candidates)
    assert dict(violation.smaller) == {"a": 1, "b": 1}
    assert dict(violation.larger) == {"a": 3, "b": 4}
    assert violation.excess == pytest.approx(0.2)
    assert noise_floor(observations) == pytest.approx(math.log(1.2) / math.sqrt(2))


def test_an_error_limit_bars_what_monotony_shows_to_exceed_it():
    trainings = ledger(np.linspace(1, 0.5, 12), [0, 5, 11], max_error=0.6)
    excess = monotone_excess(trainings.question, observe(trainings), 11, noise=0.0, alpha=0.01, assumption="monotone")
    barred = [index for index in range(12) if (VALUES[index] <= VALUES[5]).all()]
    assert np.flatnonzero(np.isneginf(excess)).tolist() == barred


def test_replicates_that_repeat_exactly_are_frozen_and_count_once():
    trainings = ledger(np.ones(12), [0, 11])
    assert not trainings.is_frozen
    trainings.replicate(0)
    assert trainings.is_frozen
    assert observe(trainings).counts.tolist() == [1, 1]
    assert trainings.summary(0).num_trainings == 2
