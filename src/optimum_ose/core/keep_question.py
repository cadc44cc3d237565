"""Whether a share of the teacher's score can be asked for: told before any work is done."""

import numpy as np

from optimum_ose.core.mean_tests import smallest_number
from optimum_ose.core.multiplier_bootstrap import bonferroni_quantile
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

_DISAGREEMENT = 0.05
"""Rows on which a student as good as its teacher answers otherwise; ours, to tell beforehand how many rows it takes."""


def require_share(keep: float) -> None:
    """Pass if a share of the teacher's score can be kept.

    Raises:
        InvalidConfigError: if it lies outside (0, 1].
    """
    if not 0 < keep <= 1:
        raise InvalidConfigError(
            "keep is a share of the teacher's score in (0, 1]",
            f"keep={keep} came",
            "0.97 asks for at least 97% of it; none asks for nothing.",
        )


def require_answerable(keep: float, *, teacher_score: float, trivial_score: float, num_rows: int, alpha: float) -> None:
    """Pass if a share of the teacher's score means something and these rows can show it. Takes no work.

    Args:
        keep: share, in (0, 1].
        teacher_score: of the teacher on the rows, in (0, 1].
        trivial_score: of the best answer that ignores the input.
        num_rows: rows that there are.
        alpha: accepted probability of a wrong claim.

    Raises:
        InvalidConfigError: if keep is out of range, or an answer that ignores the input keeps the share.
        InvalidDataError: if there are too few rows to show it even of a student as good as the teacher; it tells how
            many are needed.
    """
    require_share(keep)
    if keep * teacher_score <= trivial_score:
        raise InvalidConfigError(
            "The share to keep must ask for more than an answer that ignores the input",
            f"keep={keep:g} of the teacher's {teacher_score:.4f} is {keep * teacher_score:.4f}; that answer has "
            f"{trivial_score:.4f}",
            f"Raise keep above {trivial_score / teacher_score:.3f}, or give a better teacher.",
        )
    needed = _rows_to_show(keep, teacher_score, alpha)
    if needed is not None and num_rows < needed:
        raise InvalidDataError(
            f"To show that a student keeps {keep:.1%} of a score of {teacher_score:.3f}, about {needed:,} development "
            "rows are needed",
            f"{num_rows:,} came, too few even for a student as good as its teacher",
            "Give more development rows, lower keep, or set keep to none.",
        )


def _rows_to_show(keep: float, teacher_score: float, alpha: float) -> int | None:
    """Rows that show it of a student that has the teacher's score and errs on other rows; None for all of the score."""
    if keep == 1:
        return None
    num_rows, half = 10_000, round(10_000 * _DISAGREEMENT / 2)
    teacher = (np.arange(num_rows) < max(round(teacher_score * num_rows), half)).astype(np.float64)
    student = teacher.copy()
    student[:half], student[num_rows - half :] = 0.0, 1.0
    return round(smallest_number(student - keep * teacher, bonferroni_quantile(alpha / 2, 1)))
