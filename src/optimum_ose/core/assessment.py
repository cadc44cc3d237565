"""Owns the assessment of a search: its winner, the bound on all others, and the ratio that follows."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from optimum_ose.core.bounds import (
    Array,
    Indices,
    Observations,
    barred,
    is_refuted,
    log_savings,
    monotone_excess,
    noise_ceiling,
    noise_floor,
    observe,
    surrogate_excess,
    without_monotony,
)
from optimum_ose.core.certificate import Assumption
from optimum_ose.core.question import Question
from optimum_ose.core.surrogates import Posterior, fit_surrogate
from optimum_ose.core.trainings import Trainings

_NOISE_LEVEL = 0.99
"""Posterior quantile of the noise that the monotone bound allows for."""
_HARMLESS_NOISE = 0.25
"""Noise below this share of the accepted loss in log W seldom costs that much."""
_MAX_FITTED = 96
"""Candidates that the surrogate is fitted to, for its cost is cubic: half the oldest, half nearest to the best."""
_NUM_BISECTIONS = 12


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the trainings so far prove.

    Attributes:
        observations: the trainings.
        winner: the candidate with the highest expected W; None while none may win.
        noise: relative standard deviation of the error that the bounds allow for.
        excess: upper bound on log W(x) - log W(winner) by monotony or by training alone, shape (N,).
        posterior: the error surrogate, once it can be fitted.
        active: candidates that exceed the winner by more than epsilon allows according to `excess` alone, shape (m,).
        risk: the surrogate's probability that they do, shape (m,); 1 without a surrogate.
        challenged: whether a surrogate that sees no risk has withstood its challenges.
    """

    observations: Observations
    winner: int | None
    noise: float
    excess: Array
    posterior: Posterior | None
    active: Indices
    risk: Array
    challenged: bool = True


def assess(
    trainings: Trainings, *, epsilon: float, noise: float | None, alpha: float, features: Array | None
) -> Assessment:
    """Bound the W of all candidates after the trainings so far; arguments as in `search`; no features: no surrogate."""
    question, observations = trainings.question, observe(trainings)
    refuted = noise is None and trainings.replicates_differ and is_refuted(observations, alpha=alpha)
    if refuted or coverage(trainings) == "exhaustive":
        # Nothing rests on monotony, and what contradicts it says nothing about noise.
        observations = without_monotony(observations)
    floor = noise_floor(observations)
    posterior = None if features is None else _posterior(question, observations, features, noise=noise, floor=floor)
    assumed = _assumed_noise(trainings, observations, posterior, epsilon=epsilon, noise=noise, floor=floor, alpha=alpha)
    winner = _winner(question, observations, posterior if assumed > 0 else None)
    if winner is None:
        refused = barred(question, observations, noise=assumed, alpha=alpha / 2)
        active = np.flatnonzero(~observations.is_trained & ~refused)
        excess = np.full(len(question.savings), np.inf)
    else:
        excess = monotone_excess(question, observations, winner, noise=assumed, alpha=alpha / 2)
        active = np.flatnonzero(excess > -math.log1p(-epsilon))
    risk = np.ones(len(active))
    if winner is not None and posterior is not None:
        risk = surrogate_excess(
            question, observations, posterior, active, winner=winner, threshold=-math.log1p(-epsilon)
        )
    return Assessment(
        observations=observations,
        winner=winner,
        noise=assumed,
        excess=excess,
        posterior=posterior,
        active=active,
        risk=risk,
    )


def _assumed_noise(
    trainings: Trainings,
    observations: Observations,
    posterior: Posterior | None,
    *,
    epsilon: float,
    noise: float | None,
    floor: float,
    alpha: float,
) -> float:
    """The noise that the bound by monotony allows for.

    Errors of unknown noise are taken as exact where everything was trained and no replicate differs, or where there is
    no violation although there would be if the noise were large enough to matter. Noise that shows but cannot be
    measured yet leaves everything open.
    """
    if noise is not None:
        return max(noise, floor)
    if not trainings.replicates_differ:
        harmless = -math.log1p(-epsilon) * _HARMLESS_NOISE
        if coverage(trainings) == "exhaustive" or (floor == 0 and noise_ceiling(observations, alpha=alpha) <= harmless):
            return 0.0
    if posterior is None:
        return math.inf if trainings.replicates_differ else floor
    return max(posterior.noise_quantile(_NOISE_LEVEL), floor)


def prove(trainings: Trainings, assessment: Assessment, *, epsilon: float, alpha: float) -> tuple[float, Assumption]:
    """The largest ratio W(winner) / max W that the assessment proves, and the assumption that carries it.

    The surrogate's bound is the smallest c for which the expected number of candidates that exceed the winner by more
    than c in log W, among those that `excess` admits, is at most alpha / 2. As its challenges are about epsilon, it
    never proves more than epsilon asks for: sharper claims were false in 1.4% of the runs of benchmarks/search.py.
    Where the budget ended before it had withstood them, the loss that it admits counts twice: (1 - epsilon)^2.
    """
    question, posterior, winner = trainings.question, assessment.posterior, assessment.winner
    if winner is None:
        return 0.0, coverage(trainings)
    bound = max(float(assessment.excess.max(initial=0.0)), 0.0)
    target = -math.log1p(-epsilon)
    if posterior is None or bound <= target:
        return _ratio(bound, epsilon), coverage(trainings)

    def is_proven(c: float) -> bool:
        active = np.flatnonzero(assessment.excess > c)
        risk = surrogate_excess(question, assessment.observations, posterior, active, winner=winner, threshold=c)
        return float(risk.sum()) <= alpha / 2

    if is_proven(target):
        claimed, by_monotony = 1 - epsilon if assessment.challenged else (1 - epsilon) ** 2, _ratio(bound, epsilon)
        return max(claimed, by_monotony), "surrogate" if claimed > by_monotony else coverage(trainings)
    low, high = target, bound
    for _ in range(_NUM_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_proven(middle) else (middle, high)
    return _ratio(high, epsilon), coverage(trainings) if high == bound else "surrogate"


def _ratio(bound: float, epsilon: float) -> float:
    """The ratio that a bound on the log W of the best over the winner's proves; rounding may not undo a verdict."""
    return max(math.exp(-bound), 1 - epsilon) if bound <= -math.log1p(-epsilon) else math.exp(-bound)


def coverage(trainings: Trainings) -> Assumption:
    """The assumption that a bound without surrogate rests on."""
    return "exhaustive" if len(trainings.trained) == len(trainings.question.savings) else "monotone"


def _posterior(
    question: Question, observations: Observations, features: Array, *, noise: float | None, floor: float
) -> Posterior | None:
    kept = np.arange(len(observations.trained))
    if len(kept) > _MAX_FITTED:
        best = observations.trained[np.argmax(log_savings(question)[observations.trained] - observations.log_errors)]
        distance = np.sum((features[observations.trained] - features[best]) ** 2, axis=1)
        distance[observations.ages < _MAX_FITTED // 2] = -1
        kept = np.sort(np.argsort(distance, kind="stable")[:_MAX_FITTED])
    return fit_surrogate(
        features,
        observations.trained[kept],
        observations.log_errors[kept],
        counts=observations.counts[kept],
        scatter=observations.scatter,
        degrees=float(np.sum(observations.counts - 1)),
        noise=noise,
        noise_floor=floor,
    )


def _winner(question: Question, observations: Observations, posterior: Posterior | None) -> int | None:
    """The eligible candidate of highest W; where errors are noisy, by the surrogate's mean, which pools the noise."""
    eligible = observations.eligible
    if not len(eligible):
        return None
    candidates, log_errors = observations.trained[eligible], observations.log_errors[eligible]
    if posterior is not None:
        near = np.isin(candidates, posterior.observed)
        candidates = candidates[near] if near.any() else candidates
        log_errors = posterior.mean(candidates)
    scores = log_savings(question)[candidates] - log_errors
    ties = candidates[scores >= scores.max()]
    return int(min(ties, key=lambda k: (question.parameter_size[k], question.inference_cost[k], k)))
