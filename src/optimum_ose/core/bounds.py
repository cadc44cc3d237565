"""Owns the bounds on how far any candidate may exceed the winner in W, and the noise that they allow for."""

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, log_ndtr, ndtri

from optimum_ose.core.candidates import Candidates
from optimum_ose.core.certificate import Violation
from optimum_ose.core.objectives import ERROR_FLOOR
from optimum_ose.core.question import Question
from optimum_ose.core.surrogates import Posterior
from optimum_ose.core.trainings import Trainings

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What the trainings so far say, in logarithms.

    Attributes:
        trained: candidates with a finite error, ascending, shape (n,).
        log_errors: their mean log errors, shape (n,).
        counts: observations in each mean, shape (n,).
        scatter: sum of the squared deviations of single log errors from their mean, over all candidates.
        ages: number of candidates that were trained before each, shape (n,).
        excluded: whether a candidate is known not to win (failed, or its error exceeds max_error), shape (N,).
        dominated: whether the error of trained candidate k, which is at least as large in every axis, is a lower bound
            on that of candidate x, shape (n, N).
    """

    trained: Indices
    log_errors: Array
    counts: Array
    scatter: float
    ages: Indices
    excluded: NDArray[np.bool_]
    dominated: NDArray[np.bool_]

    @property
    def eligible(self) -> Indices:
        """Positions in `trained` of those that may win."""
        return np.flatnonzero(~self.excluded[self.trained])

    @property
    def is_trained(self) -> NDArray[np.bool_]:
        """Whether each candidate has a finite error, shape (N,)."""
        trained = np.zeros(len(self.excluded), dtype=np.bool_)
        trained[self.trained] = True
        return trained


def observe(trainings: Trainings) -> Observations:
    """Summarize the trainings so far."""
    question, trained = trainings.question, trainings.succeeded
    logs = [np.log(np.maximum(trainings.distinct_errors(int(index)), ERROR_FLOOR)) for index in trained]
    order = {index: age for age, index in enumerate(trainings.trained)}
    values = np.stack(list(question.candidates.columns.values()), axis=1)
    excluded = np.zeros(len(values), dtype=np.bool_)
    excluded[list(set(trainings.trained) - set(trained.tolist()))] = True
    log_errors = np.array([item.mean() for item in logs])
    excluded[trained[log_errors > log_max_error(question)]] = True
    return Observations(
        trained=trained,
        log_errors=log_errors,
        counts=np.array([len(item) for item in logs], dtype=np.float64),
        scatter=math.fsum(float(np.sum((item - item.mean()) ** 2)) for item in logs),
        ages=np.array([order[index] for index in trained.tolist()], dtype=np.int64),
        excluded=excluded,
        dominated=np.array([(values <= values[index]).all(axis=1) for index in trained]).reshape(
            len(trained), len(values)
        ),
    )


def without_monotony(observations: Observations) -> Observations:
    """The same trainings, of which each speaks of its own candidate alone."""
    alone = observations.trained[:, None] == np.arange(len(observations.excluded))
    return replace(observations, dominated=alone)


def is_refuted(observations: Observations, *, alpha: float) -> bool:
    """Whether the violations of the monotone assumption need more noise than the replicates can have, at level
    1 - alpha: then larger candidates are worse, not unlucky. At least one candidate must be replicated.
    """
    degrees = np.sum(observations.counts - 1)
    ceiling = math.sqrt(observations.scatter / chdtri(degrees, 1 - alpha / 2))
    return noise_floor(observations, level=1 - alpha / 2) > ceiling


def noise_floor(observations: Observations, *, level: float = 0.5) -> float:
    """Standard deviation that the observed violations of the monotone assumption prove the noise to reach.

    If the errors are monotone, the largest of m standardized excesses stays below a quantile of the largest of m
    standard normals with the quantile's probability; dividing by it gives the noise that would explain the excess.
    """
    excess = _excesses(observations)
    largest = float(excess.max(initial=0.0))
    num_pairs = max(
        int(np.count_nonzero(observations.dominated[:, observations.trained])) - len(observations.trained), 1
    )
    return largest / max(float(ndtri(level ** (1 / num_pairs))), 1.0) if largest > 0 else 0.0


def noise_ceiling(observations: Observations, *, alpha: float) -> float:
    """Largest noise standard deviation under which errors free of violations are not yet improbable.

    Candidates are paired with the nearest one that they bound and that is not paired yet. With noise sigma on both, a
    gap d keeps its sign with probability of about Phi(d / (sigma sqrt 2)); the product over the pairs may not fall
    below alpha. Infinite while there are too few pairs for that.
    """
    gaps = _paired_gaps(observations)
    if 0.5 ** len(gaps) > alpha:
        return math.inf

    def is_excluded(noise: float) -> bool:
        return float(np.sum(log_ndtr(gaps / (noise * math.sqrt(2))))) < math.log(alpha)

    low, high = 1e-9, 1e3
    while high > 1.01 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_excluded(middle) else (middle, high)
    return high


def violations(observations: Observations, candidates: Candidates) -> tuple[Violation, ...]:
    """Observations against the monotone assumption: per smaller candidate, its largest excess."""
    excess = _excesses(observations)
    worst = excess.argmax(axis=0) if len(excess) else np.zeros(0, dtype=np.int64)
    return tuple(
        Violation(
            smaller=candidates[int(observations.trained[small])],
            larger=candidates[int(observations.trained[large])],
            excess=math.expm1(observations.log_errors[large] - observations.log_errors[small]),
        )
        for small, large in enumerate(worst)
        if excess[large, small] > 0
    )


def monotone_excess(
    question: Question, observations: Observations, winner: int, *, noise: float, alpha: float
) -> Array:
    """Upper bounds on log W(x) - log W(winner) of all candidates, simultaneous at level 1 - alpha, shape (N,).

    A trained y that is at least as large as x in every axis gives e(x) >= e(y). Every difference of two means carries
    the noise of both, at the quantile that covers all pairs at once (Bonferroni), because winner and y were looked for.
    Minus infinity: the candidate cannot win.
    """
    position = int(np.searchsorted(observations.trained, winner))
    z = -float(ndtri(alpha / (2 * len(observations.trained) ** 2)))
    margin = z * noise * np.sqrt(1 / observations.counts + 1 / observations.counts[position])
    margin[position] = 0
    bounds = (observations.log_errors - margin)[:, None]
    lowest = np.where(observations.dominated, bounds, math.log(ERROR_FLOOR)).max(axis=0)
    excess = log_savings(question) - log_savings(question)[winner] - lowest + observations.log_errors[position]
    excess[winner] = 0
    excess[(question.savings <= 0) | barred(question, observations, noise=noise, alpha=alpha)] = -np.inf
    return np.asarray(excess)


def barred(question: Question, observations: Observations, *, noise: float, alpha: float) -> NDArray[np.bool_]:
    """Which candidates cannot win: they failed, or exceed max_error themselves or by monotony, shape (N,)."""
    z = -float(ndtri(alpha / (2 * max(len(observations.trained), 1) ** 2)))
    too_high = observations.log_errors - z * noise / np.sqrt(observations.counts) > log_max_error(question)
    by_monotony = np.asarray(observations.dominated[too_high].any(axis=0), dtype=np.bool_)
    by_monotony[observations.trained] = False
    return np.asarray(observations.excluded | by_monotony)


def surrogate_excess(
    question: Question,
    observations: Observations,
    posterior: Posterior,
    active: Indices,
    *,
    winner: int,
    threshold: float,
) -> Array:
    """Probability of each active candidate to exceed the winner by more than `threshold` in log W, shape (m,).

    One that was observed to exceed it by more does so for certain: a surrogate may not explain away what was measured.
    """
    gains = log_savings(question)
    below = gains[active] - gains[winner] - threshold
    probability = posterior.probability_below(active, below, reference=winner)
    observed = np.full(len(gains), -np.inf)
    observed[observations.trained] = gains[observations.trained] - observations.log_errors
    probability[(observed[active] - observed[winner] > threshold) & ~observations.excluded[active]] = 1.0
    if math.isfinite(question.max_error):
        limit = np.full(len(active), log_max_error(question))
        probability = np.minimum(probability, posterior.probability_below(active, limit))
    return probability


def log_savings(question: Question) -> Array:
    """Log g of all candidates, shape (N,); a very negative number where g is zero."""
    return np.asarray(np.log(np.maximum(question.savings, 1e-300)))


def log_max_error(question: Question) -> float:
    """Log error that a winner may not exceed."""
    return math.log(max(question.max_error, ERROR_FLOOR))


def _paired_gaps(observations: Observations) -> Array:
    """Log errors of the smaller less those of the larger candidate in disjoint comparable pairs, shape (k,)."""
    comparable = observations.dominated[:, observations.trained]
    reach = observations.dominated.sum(axis=1)
    free, gaps = set(range(len(observations.trained))), []
    for large in np.argsort(reach, kind="stable").tolist():
        below = [small for small in free if small != large and comparable[large, small]]
        if large in free and below:
            small = max(below, key=lambda k: (reach[k], k))
            free -= {large, small}
            gaps.append(observations.log_errors[small] - observations.log_errors[large])
    return np.array(gaps)


def _excesses(observations: Observations) -> Array:
    """Standardized excess of the row's error over the column's, where the row is the larger candidate, shape (n, n)."""
    inverse = 1 / observations.counts
    differences = observations.log_errors[:, None] - observations.log_errors
    scaled = differences / np.sqrt(inverse[:, None] + inverse)
    return np.where(observations.dominated[:, observations.trained], np.maximum(scaled, 0), 0.0)
