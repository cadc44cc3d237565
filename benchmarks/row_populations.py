"""Populations of rows on which the true error of every candidate is known, and what a sample of them claims.

A population is finite and rows are drawn from it with replacement, so its mean is the truth.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from optimum_ose.core.keep import ScoreParts, proven_share
from optimum_ose.core.row_errors import RowErrors
from optimum_ose.core.sampled_rows import error_gap_bound, ratio_bound

Array = NDArray[np.float64]
Generator = np.random.Generator
POPULATION = 5000
DRAWS_OF_ONE = 10
"""Samples that are drawn from one population before the next is made."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of population and of sample.

    Attributes:
        name: as it is printed.
        make: generator and number of candidates -> errors of shape (candidates, POPULATION).
        num_candidates: C.
        num_rows: rows of a sample.
        highest: greatest error that a row can have, as the bounds are told.
        is_promised: whether false claims may not exceed alpha; else the setting shows where the assumption ends.
    """

    name: str
    make: Callable[[Generator, int], Array]
    num_candidates: int
    num_rows: int
    highest: float = math.inf
    is_promised: bool = True


def binary(level: float, *, spread: float = 0.05, shared: float = 0.8) -> Callable[[Generator, int], Array]:
    """Wrong or right, by a latent difficulty that candidates share; `level` is the quantile of a wrong answer."""

    def make(generator: Generator, count: int) -> Array:
        ability = level + spread * generator.standard_normal((count, 1))
        own = generator.standard_normal((count, POPULATION))
        return (shared**0.5 * generator.standard_normal(POPULATION) + (1 - shared) ** 0.5 * own < ability).astype(float)

    return make


def lognormal(sigma: float, *, spread: float = 0.05, shared: float = 0.8) -> Callable[[Generator, int], Array]:
    """Heavy-tailed errors, as a divergence has them: a factor of the row, one of the candidate, one of both."""

    def make(generator: Generator, count: int) -> Array:
        own = generator.standard_normal((count, POPULATION))
        rows = shared**0.5 * generator.standard_normal(POPULATION) + (1 - shared) ** 0.5 * own
        return np.exp(spread * generator.standard_normal((count, 1)) + sigma * rows)

    return make


def unequal_tails(sigma: float) -> Callable[[Generator, int], Array]:
    """Candidates of nearly equal error, some of which have it on a few rows."""

    def make(generator: Generator, count: int) -> Array:
        tail = 0.6 * sigma * generator.random((count, 1))
        own = tail * generator.standard_normal((count, POPULATION)) - tail**2 / 2
        level = 0.05 * generator.standard_normal((count, 1))
        return np.exp(level + sigma * generator.standard_normal(POPULATION) + own)

    return make


def pareto(shape: float) -> Callable[[Generator, int], Array]:
    """Errors whose third moment is infinite."""

    def make(generator: Generator, count: int) -> Array:
        rows = generator.pareto(shape, POPULATION) + generator.pareto(shape, (count, POPULATION))
        return np.exp(0.05 * generator.standard_normal((count, 1))) * rows / 2

    return make


def disasters(share: float, size: float) -> Callable[[Generator, int], Array]:
    """Small errors, but on up to `share` of the rows of a candidate one that is `size` greater."""

    def make(generator: Generator, count: int) -> Array:
        small = 0.1 * generator.random((count, POPULATION)) * np.exp(0.05 * generator.standard_normal((count, 1)))
        return small + size * (generator.random((count, POPULATION)) < share * generator.random((count, 1)))

    return make


SETTINGS = (
    Setting(name="binary, 20% wrong", make=binary(-0.84), num_candidates=30, num_rows=300, highest=1),
    Setting(name="binary, 20% wrong, few", make=binary(-0.84), num_candidates=2, num_rows=50, highest=1),
    Setting(name="binary, all equal", make=binary(-0.84, spread=0), num_candidates=30, num_rows=300, highest=1),
    Setting(name="binary, 3% wrong", make=binary(-1.88), num_candidates=10, num_rows=200, highest=1),
    Setting(name="binary, 0.5% wrong", make=binary(-2.58, spread=0.2), num_candidates=3, num_rows=200, highest=1),
    Setting(name="binary, independent", make=binary(-0.84, shared=0), num_candidates=10, num_rows=1000, highest=1),
    Setting(name="lognormal 1", make=lognormal(1), num_candidates=30, num_rows=300),
    Setting(name="lognormal 1, few", make=lognormal(1), num_candidates=2, num_rows=50),
    Setting(name="lognormal 1.5", make=lognormal(1.5), num_candidates=3, num_rows=200),
    Setting(name="lognormal 1.5, many", make=lognormal(1.5), num_candidates=60, num_rows=400),
    Setting(name="unequal tails 1", make=unequal_tails(1), num_candidates=2, num_rows=200),
    Setting(name="unequal tails 1.5", make=unequal_tails(1.5), num_candidates=10, num_rows=300),
    Setting(name="Pareto 2.5", make=pareto(2.5), num_candidates=3, num_rows=200),
    Setting(name="rare disasters, range told", make=disasters(0.02, 3), num_candidates=2, num_rows=50, highest=3.2),
    Setting(
        name="rare disasters, range told, 300 rows",
        make=disasters(0.02, 3),
        num_candidates=10,
        num_rows=300,
        highest=3.2,
    ),
    Setting(
        name="rare disasters, range unknown", make=disasters(0.02, 3), num_candidates=2, num_rows=50, is_promised=False
    ),
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one sample claims, beside the truth.

    Attributes:
        ratio: claimed W(winner) / max W.
        true_ratio: the truth.
        is_false: whether the claim on W fails.
        is_gap_false: whether the claim on the error fails.
        method: how the ratio was bounded.
    """

    ratio: float
    true_ratio: float
    is_false: bool
    is_gap_false: bool
    method: str


def claims(setting: Setting, *, num_draws: int, alpha: float, first: int = 0) -> Iterator[Claim]:
    """The claims of many samples. Savings are equal in every other population, else they make all W nearly equal."""
    for number in range(first, first + num_draws):
        batch, generator = number // DRAWS_OF_ONE, np.random.default_rng([number, 1])
        if number == first or number % DRAWS_OF_ONE == 0:
            made = np.random.default_rng([batch, 0])
            population = setting.make(made, setting.num_candidates)
            truth = population.mean(axis=1)
            savings = np.ones_like(truth) if batch % 2 else truth * np.exp(0.02 * made.standard_normal(len(truth)))
            savings /= savings.max()
        rows = generator.integers(POPULATION, size=setting.num_rows)
        sample = RowErrors(errors=population[:, rows], savings=savings, highest=setting.highest)
        winner = int(sample.w.argmax())
        ratio = ratio_bound(sample, winner, alpha=alpha, seed=number)
        gap = error_gap_bound(sample, winner, alpha=alpha, seed=number)
        w = savings / np.maximum(truth, 1e-7)
        yield Claim(
            ratio=ratio.value,
            true_ratio=float(w[winner] / w.max()),
            is_false=ratio.value > w[winner] / w.max() + 1e-9,
            is_gap_false=gap.value < truth[winner] - truth.min() - 1e-9,
            method=ratio.method,
        )


def false_shares(*, num_rows: int, num_draws: int, alpha: float, share: float) -> tuple[int, int]:
    """How many samples prove more of the teacher's score than a student keeps, and how many prove `share` of it."""
    false = shown = 0
    for number in range(num_draws):
        generator = np.random.default_rng([number, 2])
        ability = np.array([0.7, 0.7 - 0.15 * generator.random()])
        truth = ndtr(ability)
        own = 0.6**0.5 * generator.standard_normal(num_rows)
        right = (own + 0.4**0.5 * generator.standard_normal((2, num_rows)) < ability[:, None]).astype(float)
        if not right[0].any():
            continue
        proven = proven_share(ScoreParts(teacher=right[0], candidates=right[1:]), 0, alpha=alpha)
        shown += proven >= share
        false += proven > truth[1] / truth[0] + 1e-9
    return false, shown
