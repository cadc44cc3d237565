"""Owns the certified search: train what could still win, until nothing can win by more than epsilon."""

import math
from dataclasses import replace

import numpy as np

from optimum_ose.core.assessment import Assessment, assess
from optimum_ose.core.bounds import Array, Indices, log_savings
from optimum_ose.core.trainings import Trainings
from optimum_ose.exceptions import InfeasibleError

_NUM_REPLICATED = 3
"""Candidates that are trained twice where the noise is unknown, to measure it: the best so far."""
_REPLICATED_SHARE = 16
"""At most one in so many of all candidates is trained twice for that."""
_REPLICATED_AFTER = 2
"""So many times the trainings of the start are made before: first of all a good candidate is wanted; set by
benchmarks/search.py."""
_NUM_CHALLENGES = 6
"""Trainings made to refute a surrogate that says the search is over; set by benchmarks/certificate.py."""
_BATCH_SHARE = 48
"""One in so many of the trained candidates is trained before the surrogate is fitted again."""
_MAX_CHALLENGERS = 256


def search(
    trainings: Trainings, *, epsilon: float, noise: float | None, alpha: float, start: Indices, features: Array
) -> Assessment:
    """Train until the winner is proven to be within epsilon of the best, or the budget is spent.

    Every step bounds the W of all candidates from above, by monotony and by the surrogate, and trains the one most
    likely to exceed the winner; or trains again the winner or its rival where noise is all that separates them. Noise
    that nobody told is measured by replicates of the best, before anything is certain. Once the surrogate sees no risk,
    it is challenged: candidates whose training would cut off most of those that monotony alone still admits are
    trained, for a jump that the surrogate missed would show there.

    Args:
        trainings: the ledger, still empty.
        epsilon: accepted relative shortfall.
        noise: relative standard deviation of the error; None: estimated.
        alpha: accepted probability that the bounds fail.
        start: candidates trained first, shape (k,), from `starting_design`.
        features: coordinates of all candidates, from `axis_features`.
    """
    trainings.plan(start)
    for index in start:
        trainings.train(int(index))
    if not len(trainings.succeeded):
        raise InfeasibleError(
            "At least one training must end with a finite error",
            f"all of the first {len(trainings.evaluations)} ended with NaN or infinity",
            "Lower the learning rate or the batch size, or look at the messages of the trainings.",
        )
    challenges, is_noise_open = 0, noise is None
    while True:
        assessment = assess(trainings, epsilon=epsilon, noise=noise, alpha=alpha, features=features)
        certain = assessment.winner is not None and assessment.risk.sum() <= alpha / 2
        if is_noise_open and (certain or len(trainings.trained) >= _REPLICATED_AFTER * len(start)):
            is_noise_open = False
            _replicate_best(trainings, assessment)
            continue
        challenger = _challenger(trainings, assessment, epsilon) if certain and challenges < _NUM_CHALLENGES else None
        if certain and challenger is None:
            return assessment
        challenges = challenges + 1 if certain else 0
        progressed = (
            trainings.train(challenger) if challenger is not None else _train_rivals(trainings, assessment, noise)
        )
        if not progressed:
            return replace(assessment, challenged=challenger is None)


def _replicate_best(trainings: Trainings, assessment: Assessment) -> None:
    """Train the best candidates again; what tells their noise also tells which of them is the best."""
    observations = assessment.observations
    scores = log_savings(trainings.question)[observations.trained] - observations.log_errors
    count = min(len(observations.excluded) // _REPLICATED_SHARE, _NUM_REPLICATED)
    for index in observations.trained[np.argsort(-scores, kind="stable")[:count]]:
        trainings.replicate(int(index))


def _train_rivals(trainings: Trainings, assessment: Assessment, noise: float | None) -> bool:
    """Train, or train again, the candidates most likely to exceed the winner; False if nothing could be done.

    Errors that were seen to repeat exactly, or that are exact as far as anyone knows, are not drawn again.
    """
    observations = assessment.observations
    trained = observations.is_trained
    order = assessment.active[np.lexsort((-assessment.excess[assessment.active], -assessment.risk))]
    if assessment.winner is None and assessment.posterior is not None:
        order = order[np.argsort(assessment.posterior.mean(order), kind="stable")]
    may_replicate = trainings.replicates_differ or (noise is not None and noise > 0 and not trainings.was_replicated)
    batch = max(1, len(observations.trained) // _BATCH_SHARE)
    useful = order if may_replicate else order[~trained[order]]
    if not len(useful) and assessment.winner is not None:
        useful = np.flatnonzero(~trained & ~observations.excluded)
    done = False
    trainings.plan(useful[~trained[useful]])
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
    untrained = np.flatnonzero(~assessment.observations.is_trained & ~assessment.observations.excluded)
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
