import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.core.bounds import (
    is_refuted,
    monotone_excess,
    noise_ceiling,
    noise_floor,
    observe,
    surrogate_excess,
    violations,
    without_monotony,
)
from optimum_ose.core.candidates import Candidates
from optimum_ose.core.features import axis_features
from optimum_ose.core.question import Question
from optimum_ose.core.surrogates import fit_surrogate
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


class Draws(list):
    """Errors in the order of the trainings."""

    def __getitem__(self, _):
        return self.pop(0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.integers(0, 11), min_size=1))
def test_monotone_bounds_are_bounds_on_monotone_errors(seed, trained):
    falls = np.random.default_rng(seed).exponential(size=(3, 4)).cumsum(axis=0).cumsum(axis=1).ravel()
    errors = np.exp(-0.2 * falls)
    trainings = ledger(errors, trained)
    observations, winner = observe(trainings), min(trained)
    excess = monotone_excess(trainings.question, observations, winner, noise=0.0, alpha=0.01)
    truth = np.log(SAVINGS / errors) - math.log(SAVINGS[winner] / errors[winner])
    assert (excess >= truth - 1e-9).all()
    assert np.allclose(excess[sorted(trained)], truth[sorted(trained)])
    assert noise_floor(observations) == 0
    assert violations(observations, trainings.question.candidates) == ()


def test_noise_widens_the_bound_of_all_that_the_winner_does_not_bound_itself():
    trainings = ledger(np.linspace(1, 0.5, 12), [0, 5, 11])
    quiet, loud = (
        monotone_excess(trainings.question, observe(trainings), 5, noise=noise, alpha=0.01) for noise in (0.0, 0.1)
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
    excess = monotone_excess(trainings.question, observe(trainings), 11, noise=0.0, alpha=0.01)
    barred = [index for index in range(12) if (VALUES[index] <= VALUES[5]).all()]
    assert np.flatnonzero(np.isneginf(excess)).tolist() == barred


def test_replicates_that_repeat_exactly_are_frozen_and_count_once():
    trainings = ledger(np.ones(12), [0, 11])
    assert not trainings.was_replicated
    trainings.replicate(0)
    assert trainings.was_replicated
    assert not trainings.replicates_differ
    assert observe(trainings).counts.tolist() == [1, 1]
    assert trainings.summary(0).num_trainings == 2


def test_few_comparisons_leave_the_noise_open():
    assert noise_ceiling(observe(ledger(np.linspace(1, 0.5, 12), [0, 5, 11])), alpha=0.01) == math.inf


def test_exact_ties_between_many_candidates_exclude_noise():
    values = np.stack([column.ravel() for column in np.meshgrid(range(1, 6), range(1, 7), indexing="ij")], axis=1)
    question = Question(
        candidates=Candidates("ab", values),
        parameter_size=np.ones(30),
        inference_cost=np.ones(30),
        savings=np.ones(30),
        maximum_point=(2.0, 2.0),
    )
    ceilings = []
    for step in (0.0, 0.05, 0.1):
        trainings = Trainings(
            question,
            lambda a, theta, step=step: math.exp(-step * (a.a + a.b)),
            hyperparameters=[{}],
            max_evaluations=30,
        )
        for index in range(30):
            trainings.train(index)
        ceilings.append(noise_ceiling(observe(trainings), alpha=0.01))
    assert ceilings[0] < 1e-8
    assert 0.01 < ceilings[1] < 0.1
    assert ceilings[2] == pytest.approx(2 * ceilings[1], rel=0.05)


def test_a_surrogate_may_not_explain_away_what_was_measured():
    errors = np.exp(-0.1 * VALUES.sum(axis=1))
    errors[3] /= 2
    trainings = ledger(errors, range(12))
    observations = observe(trainings)
    posterior = fit_surrogate(
        axis_features(trainings.question.candidates.columns),
        observations.trained,
        observations.log_errors,
        counts=observations.counts,
        scatter=observations.scatter,
        degrees=0.0,
        noise=2.0,
        noise_floor=0.0,
    )
    risk = surrogate_excess(
        trainings.question, observations, posterior, np.arange(1, 12), winner=0, threshold=math.log(1.1)
    )
    assert risk[2] == 1
    assert (np.delete(risk, 2) < 1).all()


def test_every_replicate_counts_however_many_there_are():
    generator = np.random.default_rng(0)
    trainings = ledger(np.ones(12), [])
    drawn = []
    trainings._error = lambda a, theta: drawn.append(float(np.exp(0.05 * generator.standard_normal()))) or drawn[-1]
    trainings.train(4)
    while trainings.replicate(4):
        pass
    observations = observe(trainings)
    assert len(drawn) == observations.counts[0] == 99
    assert observations.log_errors[0] == pytest.approx(np.log(drawn).mean())
    assert observations.scatter == pytest.approx(99 * np.log(drawn).var())


def test_violations_beyond_what_replicates_allow_refute_monotony():
    """A larger candidate is twice as bad; replicates differ by 2%, then by 40%."""
    for spread, expected in ((0.02, True), (0.4, False)):
        trainings = ledger(Draws((1.0, 2.0, 1.0 + spread, 1.0 - spread, 1.0 + spread / 2)), [0, 11])
        for _ in range(3):
            trainings.replicate(0)
        assert is_refuted(observe(trainings), alpha=0.01) is expected


def test_without_monotony_a_training_bounds_its_own_candidate_alone():
    trainings = ledger(np.linspace(1, 0.5, 12), [0, 11])
    observations = without_monotony(observe(trainings))
    excess = monotone_excess(trainings.question, observations, 11, noise=0.0, alpha=0.01)
    assert excess[11] == 0
    assert excess[0] == pytest.approx(math.log(SAVINGS[0] / 1) - math.log(SAVINGS[11] / 0.5))
    assert (excess[1:11] > 10).all()
    assert noise_floor(observations) == 0
