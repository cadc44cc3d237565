"""Owns the certified search: train what could still win, until nothing can win by more than epsilon."""

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.bounds import (
    Array,
    Indices,
    Observations,
    barred,
    log_savings,
    monotone_excess,
    noise_floor,
    observe,
    surrogate_excess,
)
from optimum_ose.core.certificate import Assumption
from optimum_ose.core.question import Question
from optimum_ose.core.surrogates import Posterior, fit_surrogate
from optimum_ose.core.trainings import Trainings
from optimum_ose.exceptions import InfeasibleError

_NUM_REPLICATED = 3
"""Candidates of the start that are trained twice where the noise is unknown."""
_NUM_CHALLENGES = 6
"""Trainings made to refute a surrogate that says the search is over; set by benchmarks/certificate.py."""
_BATCH_SHARE = 12
"""One in so many of the trained candidates is trained before the surrogate is fitted again."""
_NOISE_LEVEL = 0.95
"""Posterior quantile of the noise that the monotone bound allows for."""
_MAX_ROWS = 96
"""Observations that the surrogate is fitted to, for its cost is cubic: half the oldest, half nearest to the best."""
_MAX_CHALLENGERS = 256
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


def search(
    trainings: Trainings, *, epsilon: float, noise: float | None, alpha: float, start: Indices, features: Array
) -> Assessment:
    """Train until the winner is proven to be within epsilon of the best, or the budget is spent.

    Every step bounds the W of all candidates from above, by monotony and by the surrogate, and trains the one most
    likely to exceed the winner; or trains again the winner or its rival where noise is all that separates them. Once
    the surrogate sees no risk, it is challenged: candidates whose training would cut off most of those that monotony
    alone still admits are trained, for a jump that the surrogate missed would show there.

    Args:
        trainings: the ledger, still empty.
        epsilon: accepted relative shortfall.
        noise: relative standard deviation of the error; None: estimated.
        alpha: accepted probability that the bounds fail.
        start: candidates trained first, shape (k,), from `starting_design`.
        features: coordinates of all candidates, from `axis_features`.
    """
    for index in start:
        trainings.train(int(index))
    for index in trainings.succeeded[:_NUM_REPLICATED] if noise is None else ():
        trainings.replicate(int(index))
    if not len(trainings.succeeded):
        raise InfeasibleError(
            "At least one training must end with a finite error",
            f"all of the first {len(trainings.evaluations)} ended with NaN or infinity",
            "Lower the learning rate or the batch size, or look at the messages of the trainings.",
        )
    challenges = 0
    while True:
        assessment = assess(trainings, epsilon=epsilon, noise=noise, alpha=alpha, features=features)
        certain = assessment.winner is not None and assessment.risk.sum() <= alpha / 2
        challenger = _challenger(trainings, assessment, epsilon) if certain and challenges < _NUM_CHALLENGES else None
        if certain and challenger is None:
            return assessment
        challenges = challenges + 1 if certain else 0
        progressed = trainings.train(challenger) if challenger is not None else _train_rivals(trainings, assessment)
        if not progressed:
            return replace(assessment, challenged=challenger is None)


def assess(
    trainings: Trainings, *, epsilon: float, noise: float | None, alpha: float, features: Array | None
) -> Assessment:
    """Bound the W of all candidates after the trainings so far; arguments as in `search`; no features: no surrogate."""
    question, observations, assumption = trainings.question, observe(trainings), coverage(trainings)
    # Where everything was trained, nothing rests on monotony, and its violations say nothing about noise.
    floor = 0.0 if features is None and assumption == "exhaustive" else noise_floor(observations)
    posterior = None if features is None else _posterior(question, observations, features, noise=noise, floor=floor)
    if noise is None and posterior is not None:
        assumed = max(posterior.noise_quantile(_NOISE_LEVEL), floor)
    else:
        assumed = max(noise or 0.0, floor)
    winner = _winner(question, observations, posterior if assumed > 0 else None)
    if winner is None:
        refused = barred(question, observations, noise=assumed, alpha=alpha / 2)
        active = np.flatnonzero(~_is_trained(question, observations) & ~refused)
        excess = np.full(len(question.savings), np.inf)
    else:
        excess = monotone_excess(question, observations, winner, noise=assumed, alpha=alpha / 2, assumption=assumption)
        active = np.flatnonzero(excess > -math.log1p(-epsilon))
    risk = np.ones(len(active))
    if winner is not None and posterior is not None:
        risk = surrogate_excess(question, posterior, active, winner=winner, threshold=-math.log1p(-epsilon))
    return Assessment(
        observations=observations,
        winner=winner,
        noise=assumed,
        excess=excess,
        posterior=posterior,
        active=active,
        risk=risk,
    )


def prove(trainings: Trainings, assessment: Assessment, *, epsilon: float, alpha: float) -> tuple[float, Assumption]:
    """The largest ratio W(winner) / max W that the assessment proves, and the assumption that carries it.

    The surrogate's bound is the smallest c for which the expected number of candidates that exceed the winner by more
    than c in log W, among those that `excess` admits, is at most alpha / 2. It says nothing while it has not withstood
    its challenges.
    """
    question, posterior, winner = trainings.question, assessment.posterior, assessment.winner
    if winner is None:
        return 0.0, coverage(trainings)
    bound = max(float(assessment.excess.max(initial=0.0)), 0.0)
    target = -math.log1p(-epsilon)
    if posterior is None or bound <= target or not assessment.challenged:
        return math.exp(-bound), coverage(trainings)

    def is_proven(c: float) -> bool:
        active = np.flatnonzero(assessment.excess > c)
        return float(surrogate_excess(question, posterior, active, winner=winner, threshold=c).sum()) <= alpha / 2

    low, high = (0.0, target) if is_proven(target) else (target, bound)
    for _ in range(_NUM_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_proven(middle) else (middle, high)
    return math.exp(-high), coverage(trainings) if high == bound else "surrogate"


def coverage(trainings: Trainings) -> Assumption:
    """The assumption that a bound without surrogate rests on."""
    return "exhaustive" if len(trainings.trained) == len(trainings.question.savings) else "monotone"


def _posterior(
    question: Question, observations: Observations, features: Array, *, noise: float | None, floor: float
) -> Posterior | None:
    rows, values = observations.rows, observations.values
    if len(rows) > _MAX_ROWS:
        best = observations.trained[np.argmax(log_savings(question)[observations.trained] - observations.log_errors)]
        distance = np.sum((features[rows] - features[best]) ** 2, axis=1)
        distance[np.argsort(observations.ages, kind="stable")[: _MAX_ROWS // 2]] = -1
        kept = np.sort(np.argsort(distance, kind="stable")[:_MAX_ROWS])
        rows, values = rows[kept], values[kept]
    return fit_surrogate(features, rows, values, noise=noise, noise_floor=floor) if len(rows) else None


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


def _is_trained(question: Question, observations: Observations) -> NDArray[np.bool_]:
    trained = np.zeros(len(question.savings), dtype=np.bool_)
    trained[observations.trained] = True
    return trained


def _train_rivals(trainings: Trainings, assessment: Assessment) -> bool:
    """Train, or train again, the candidates most likely to exceed the winner; False if nothing could be done."""
    question, observations = trainings.question, assessment.observations
    trained = _is_trained(question, observations)
    order = assessment.active[np.lexsort((-assessment.excess[assessment.active], -assessment.risk))]
    if assessment.winner is None and assessment.posterior is not None:
        order = order[np.argsort(assessment.posterior.mean(order), kind="stable")]
    may_replicate = assessment.noise > 0 and not trainings.is_frozen
    batch = max(1, len(observations.trained) // _BATCH_SHARE)
    useful = order if may_replicate else order[~trained[order]]
    if not len(useful) and assessment.winner is not None:
        useful = np.flatnonzero(~trained & ~observations.excluded)
    done = False
    for index in map(int, useful[:batch]):
        if not trained[index]:
            done |= trainings.train(index)
        elif assessment.winner is not None:
            rival = min((index, assessment.winner), key=trainings.num_replicates)
            done |= trainings.replicate(rival)
    return done


def _challenger(trainings: Trainings, assessment: Assessment, epsilon: float) -> int | None:
    """The untrained candidate whose training would, if the surrogate is right, cut off most active ones by monotony."""
    question, posterior, winner = trainings.question, assessment.posterior, assessment.winner
    untrained = np.flatnonzero(~_is_trained(question, assessment.observations) & ~assessment.observations.excluded)
    if posterior is None or winner is None or not len(assessment.active) or not len(untrained):
        return None
    untrained = untrained[:: math.ceil(len(untrained) / _MAX_CHALLENGERS)]
    active = assessment.active[:: math.ceil(len(assessment.active) / _MAX_CHALLENGERS)]
    values = np.stack(list(question.candidates.columns.values()), axis=1)
    gains = log_savings(question)[active] - log_savings(question)[winner] + math.log1p(-epsilon)
    expected = posterior.mean(untrained) - posterior.mean(np.array([winner]))
    below = (values[active] <= values[untrained][:, None]).all(axis=2)
    cut_off = np.count_nonzero(below & (expected[:, None] >= gains), axis=1)
    return int(untrained[cut_off.argmax()]) if cut_off.any() else None
