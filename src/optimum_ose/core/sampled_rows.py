"""What a sample of rows says about the candidates' errors on the population that the rows were drawn from.

The winner was chosen on the same rows, so every bound holds whichever candidate had won. It is enough to be right about
the candidate that is truly best, compared with all others (Hsu's multiple comparisons with the best); as nobody knows
which one that is, each rival is allowed for at the level at which it could be.
"""

import math
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.row_comparison import RowComparison
from optimum_ose.core.row_errors import RowErrors

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
RowMethod = Literal["bootstrap", "betting"]
"""How the deciding comparison was bounded: by a simultaneous paired bootstrap of Student's t, or by betting e-values
with a union bound, which hold for any number of rows."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RowsBound:
    """A bound that holds for the population with probability 1 - alpha.

    Attributes:
        value: the bound.
        rival: the candidate that decides it; None: no other one comes near.
        method: how that comparison was bounded.
        degrees: degrees of freedom of its variance; few mean that few rows carry it.
        rows_needed: about how many rows would prove the target; None: no target, or these rows speak against it.
    """

    value: float
    rival: int | None = None
    method: RowMethod = "bootstrap"
    degrees: float = math.inf
    rows_needed: int | None = None


def ratio_bound(
    sample: RowErrors, winner: int, *, alpha: float, target: float | None = None, seed: int = 0
) -> RowsBound:
    """Lower bound of W(winner) / max W in the population, in [0, 1].

    Args:
        sample: errors of all candidates on the same rows.
        winner: which candidate was chosen.
        alpha: accepted probability that the bound fails.
        target: ratio for which to tell how many rows would be needed.
        seed: of the bootstrap.

    The floor is added to the winner's error, so that the bound holds for floored errors as well.

    Source: J. C. Hsu, Ann. Statist. 9 (1981) 1026-1034.
    """
    errors, savings = sample.errors, sample.savings
    means = np.maximum(sample.means, sample.floor)
    if savings[winner] <= 0:
        return RowsBound(value=0.0)
    shares = savings / savings[winner]

    def differences(rivals: Indices, ratios: Array) -> Array:
        return np.asarray(errors[rivals] - (ratios * shares[rivals])[:, None] * (errors[winner] + sample.floor))

    def lower(rivals: Indices, ratios: Array) -> Array:
        return np.asarray(sample.lowest - ratios * shares[rivals] * (sample.highest + sample.floor))

    others = np.flatnonzero((savings > 0) & sample.is_usable & (np.arange(len(savings)) != winner))
    closest_first = others[np.argsort(means[others] / savings[others], kind="stable")]
    comparison = RowComparison(sample, errors / means[:, None], differences, lower, alpha=alpha, seed=seed)
    value, rival = comparison.bound(closest_first, best=1.0, trivial=0.0)
    needed = comparison.rows_needed(closest_first, target) if target is not None else None
    return _described(comparison, value, rival, needed)


def error_gap_bound(sample: RowErrors, winner: int, *, alpha: float, seed: int = 0) -> RowsBound:
    """Upper bound on how far the true error of any candidate lies below the winner's; infinite where none is known.

    Args:
        sample: errors of all candidates on the same rows.
        winner: which candidate was chosen.
        alpha: accepted probability that the bound fails.
        seed: of the bootstrap.
    """
    errors, means = sample.errors, sample.means
    span = sample.highest - sample.lowest
    widest = span if math.isfinite(span) else 2 * float(np.abs(errors[sample.is_usable]).max(initial=1.0))

    def differences(rivals: Indices, gaps: Array) -> Array:
        return np.asarray(errors[rivals] - errors[winner] + gaps[:, None])

    def lower(_: Indices, gaps: Array) -> Array:
        return np.asarray(gaps - span)

    others = np.flatnonzero(sample.is_usable & (np.arange(len(means)) != winner))
    comparison = RowComparison(sample, errors, differences, lower, alpha=alpha, seed=seed)
    value, rival = comparison.bound(others[np.argsort(means[others], kind="stable")], best=0.0, trivial=widest)
    return _described(comparison, value if value < widest else span, rival, None)


def _described(comparison: RowComparison, value: float, rival: int | None, rows_needed: int | None) -> RowsBound:
    if rival is None or not math.isfinite(value):
        return RowsBound(value=value, rival=rival, rows_needed=rows_needed)
    is_betting, degrees = comparison.described(rival, value)
    return RowsBound(
        value=value,
        rival=rival,
        method="betting" if is_betting else "bootstrap",
        degrees=degrees,
        rows_needed=rows_needed,
    )
