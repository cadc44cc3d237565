"""Which share of the teacher's score a student keeps, with a stated confidence, on rows that are a sample.

A row's part is what it adds to a score that is a mean over rows: 1 for a right answer, 0 for a wrong one. Scores that
are no means, such as F1 or a correlation, have parts too: see `score_parts`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.mean_tests import BETTING_SHARE, positive
from optimum_ose.core.multiplier_bootstrap import bonferroni_quantile
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
        low, high = (middle, high) if _keeps(parts, alone, middle, alpha=alpha) else (low, middle)
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


def _keeps(parts: ScoreParts, candidate: Indices, keep: float, *, alpha: float) -> bool:
    alpha_of_t = alpha if parts.range is None else alpha * (1 - BETTING_SHARE)
    passed = positive(
        parts.surplus(candidate, keep),
        quantiles=np.full(1, bonferroni_quantile(alpha_of_t, 1)),
        lower=parts.least_surplus(candidate, keep),
        log_threshold=math.log(1 / (alpha * BETTING_SHARE)),
    )
    return bool(passed[0])
