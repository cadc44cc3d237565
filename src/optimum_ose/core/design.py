"""Owns the choice of candidates that are trained whatever the others turn out to be."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from optimum_ose.core.question import Question

_EXTRA_DESIGN = 3
"""Trainings at the start beyond the number of the trend's coefficients: the fewest that the surrogate can be fitted
to, for what comes after is chosen better; set by benchmarks/search.py."""


def stride(question: Question, interval_size: int) -> NDArray[np.int64]:
    """The candidates that the published algorithm trains: every n-th and both ends, by p (ties: i, then lexicographic).

    Source: de Wynter, arXiv:2010.08512.
    """
    order = np.lexsort((question.inference_cost, question.parameter_size))
    kept = order[::interval_size]
    return kept if kept[-1] == order[-1] else np.append(kept, order[-1])


def starting_design(
    question: Question, features: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """The candidates to train first: the largest, the smallest, and an even spread between them; see `spread`."""
    if features.shape[1] == 0:
        return np.zeros(1, dtype=np.int64)
    count = features.shape[1] + 1 + _EXTRA_DESIGN
    return spread(features, min(count, len(question.savings)), generator)


def spread(features: NDArray[np.float64], count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The largest candidate, the smallest, and an even spread between them, without repetition.

    The spread is the additive recurrence with the generalized golden ratio (M. Roberts, 2018), of low discrepancy in
    any dimension, from a random origin, each of its points moved to the nearest candidate not yet chosen.

    Args:
        features: coordinates of the candidates in [0, 1], shape (N, d), d >= 1, larger for larger candidates.
        count: how many to choose, at most N.
        generator: draws the origin.
    """
    dimension, total = features.shape[1], features.sum(axis=1)
    ratio = float(brentq(lambda x: x ** (dimension + 1) - x - 1, 1, 2))
    steps, origin = ratio ** -np.arange(1.0, dimension + 1), generator.random(dimension)
    chosen = list(dict.fromkeys((int(total.argmax()), int(total.argmin()))))
    for number in range(1, count - len(chosen) + 1):
        distance = np.sum((features - (origin + number * steps) % 1) ** 2, axis=1)
        distance[chosen] = np.inf
        chosen.append(int(distance.argmin()))
    return np.array(chosen, dtype=np.int64)
