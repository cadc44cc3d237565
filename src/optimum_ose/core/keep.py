"""Which candidates keep a share of the teacher's score, with a stated confidence, on rows that are a sample.

A row's part is what it adds to a score that is a mean over rows: 1 for a right answer, 0 for a wrong one. Scores that
are no means, such as F1 or a correlation, have parts too: see `score_parts`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.mean_tests import BETTING_SHARE, positive, smallest_number
from optimum_ose.core.multiplier_bootstrap import MultiplierBootstrap, bonferroni_quantile
from optimum_ose.exceptions import InvalidDataError

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_NUM_BISECTIONS = 30


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreParts:
    """What each of n rows adds to the scores of a teacher and of C candidates; a score is the mean of its parts.

    Attributes:
        teacher: shape (n,).
        candidates: shape (C, n).
        range: smallest and greatest part that a row can have; None: unknown, as for scores that are no means.

    Raises:
        InvalidDataError: if shapes differ, or the teacher's score is not positive.
    """

    teacher: Array
    candidates: Array
    range: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.candidates.ndim != 2 or self.candidates.shape[1:] != self.teacher.shape:
            raise InvalidDataError(
                "Teacher and candidates have a part of the score for each row",
                f"shapes {self.teacher.shape} and {self.candidates.shape} came",
                "Pass arrays of shapes (rows,) and (candidates, rows).",
            )
        if not self.teacher.mean() > 0:
            raise InvalidDataError(
                "The teacher's score is greater than zero, so that a share of it can be kept",
                f"it is {self.teacher.mean():.4g} on {len(self.teacher)} rows",
                "Check the teacher and the labels.",
            )

    @property
    def shares(self) -> Array:
        """Score of each candidate over the teacher's, on these rows, shape (C,)."""
        return np.asarray(self.candidates.mean(axis=1) / self.teacher.mean())

    def surplus(self, candidates: Indices, keep: float) -> Array:
        """What each row adds to a candidate's score less `keep` times the teacher's, shape (k, n)."""
        return np.asarray(self.candidates[candidates] - keep * self.teacher)

    def least_surplus(self, candidates: Indices, keep: float) -> Array | None:
        """Smallest surplus that a row could have, shape (k,); None: unknown."""
        if self.range is None:
            return None
        return np.full(len(candidates), self.range[0] - keep * self.range[1])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Which candidates were shown to keep a share of the teacher's score; all at once with probability 1 - alpha.

    Attributes:
        keep: the share asked for.
        alpha: accepted probability that any of the shown ones keeps less in the population.
        shown: which candidates were shown to keep it, shape (C,).
        shares: score over the teacher's on these rows, shape (C,).
        rows_needed: about how many rows would show it of the candidate that comes nearest; None where one was shown, or
            where none has a higher share than asked for on these rows.
        num_rows: rows of the sample.
    """

    keep: float
    alpha: float
    shown: NDArray[np.bool_]
    shares: Array
    rows_needed: int | None
    num_rows: int


def keepers(parts: ScoreParts, keep: float, *, alpha: float, sequence: Indices | None = None, seed: int = 0) -> Kept:
    """The candidates that keep a share of the teacher's score.

    All candidates are tested together (step-down, with a bootstrap of the largest statistic). Where an order is known
    before the rows were looked at, such as that of size, half of alpha is spent on it: candidates are tested one by one
    from the last to the first, each at the full half, until one fails.

    Args:
        parts: of teacher and candidates.
        keep: share of the teacher's score, in (0, 1].
        alpha: accepted probability that any candidate is shown that does not keep it.
        sequence: candidates from the one that is wanted most to the one that is wanted least; its order must not
            depend on these rows. None: no order is known.
        seed: of the bootstrap.

    Source: J. P. Romano and M. Wolf, Econometrica 73 (2005) 1237-1282 (step-down); A. N. Angelopoulos et al.,
        arXiv:2110.01052 (fixed sequences).
    """
    level = alpha if sequence is None else alpha / 2
    shown = _step_down(parts, keep, alpha=level, seed=seed)
    if sequence is not None:
        for candidate in sequence[::-1]:
            if not _passes(parts, np.array([candidate]), keep, alpha=level)[0]:
                break
            shown[candidate] = True
    return Kept(
        keep=keep,
        alpha=alpha,
        shown=shown,
        shares=parts.shares,
        rows_needed=None if shown.any() else rows_needed(parts, keep, alpha=level),
        num_rows=len(parts.teacher),
    )


def rows_needed(parts: ScoreParts, keep: float, *, alpha: float) -> int | None:
    """About how many rows like these would show that the best candidate keeps the share, tested alone; None where none
    has a higher share on these rows.
    """
    surplus = parts.surplus(np.arange(len(parts.candidates)), keep)
    quantile = bonferroni_quantile(_alpha_of_t(parts, alpha), 1)
    needed = min((smallest_number(line, quantile) for line in surplus), default=math.inf)
    return math.ceil(max(needed, len(parts.teacher) + 1)) if math.isfinite(needed) else None


def proven_share(parts: ScoreParts, candidate: int, *, alpha: float) -> float:
    """Largest share of the teacher's score that one candidate, not chosen on these rows, is shown to keep; 0: none.

    Args:
        parts: of teacher and candidates.
        candidate: which one.
        alpha: accepted probability that it keeps less.
    """
    low, high, alone = 0.0, max(float(parts.shares[candidate]), 1e-9), np.array([candidate])
    for _ in range(_NUM_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _passes(parts, alone, middle, alpha=alpha)[0] else (low, middle)
    return low


def score_parts(score: Callable[[Indices], Array], num_rows: int, *, num_groups: int = 100, seed: int = 0) -> Array:
    """Parts of scores that are no means over rows, one for each group of rows: delete-a-group jackknife pseudo-values.

    Args:
        score: rows of shape (m,) -> scores of shape (k,) computed from these rows alone.
        num_rows: rows that there are.
        num_groups: groups that are left out in turn; as many calls of `score` are made, and one more.
        seed: of the grouping.

    Returns:
        Shape (k, groups). Their mean is the score with its bias removed to first order.

    Source: J. W. Tukey, Ann. Math. Statist. 29 (1958) 614; R. Wu and J. Shao, The Jackknife and Bootstrap (1995).
    """
    order = np.random.default_rng(np.random.SeedSequence(seed)).permutation(num_rows)
    groups = np.array_split(order, min(num_groups, num_rows))
    whole = np.asarray(score(np.arange(num_rows)), dtype=np.float64)
    without = [np.asarray(score(np.sort(np.setdiff1d(order, group))), dtype=np.float64) for group in groups]
    return np.asarray(len(groups) * whole[:, None] - (len(groups) - 1) * np.stack(without, axis=1))


def _alpha_of_t(parts: ScoreParts, alpha: float) -> float:
    return alpha if parts.range is None else alpha * (1 - BETTING_SHARE)


def _passes(
    parts: ScoreParts,
    candidates: Indices,
    keep: float,
    *,
    alpha: float,
    quantile: float | None = None,
    num_tests: int = 1,
) -> NDArray[np.bool_]:
    quantile = bonferroni_quantile(_alpha_of_t(parts, alpha), num_tests) if quantile is None else quantile
    return positive(
        parts.surplus(candidates, keep),
        quantiles=np.full(len(candidates), quantile),
        lower=parts.least_surplus(candidates, keep),
        log_threshold=math.log(num_tests / (alpha * BETTING_SHARE)),
    )


def _step_down(parts: ScoreParts, keep: float, *, alpha: float, seed: int) -> NDArray[np.bool_]:
    """Test all that are left at the critical value of the largest statistic, until no more are shown."""
    shown = np.zeros(len(parts.candidates), dtype=np.bool_)
    bootstrap = MultiplierBootstrap(parts.surplus(np.arange(len(shown)), keep), seed=seed)
    while not shown.all():
        left = np.flatnonzero(~shown)
        quantile = bootstrap.quantile_of_largest(left, _alpha_of_t(parts, alpha))
        passed = _passes(parts, left, keep, alpha=alpha, quantile=quantile, num_tests=len(left))
        if not passed.any():
            break
        shown[left[passed]] = True
    return shown
