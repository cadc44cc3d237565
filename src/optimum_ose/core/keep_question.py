"""Whether a share of the teacher's score can be asked for, and how many rows would show that it is kept."""

import math

import numpy as np

from optimum_ose.core.mean_tests import smallest_number
from optimum_ose.core.multiplier_bootstrap import bonferroni_quantile
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

MIN_ROWS = 20
"""Development rows without which nothing can be said of a share. Ours."""
_DISAGREEMENT = 0.05
"""Rows on which a student as good as its teacher answers otherwise; ours, to say beforehand how many rows it takes."""


def require_answerable(keep: float, *, teacher_score: float, trivial_score: float, num_rows: int) -> None:
    """Pass if a share of the teacher's score means something on these rows. Takes no work.

    Args:
        keep: share, in (0, 1].
        teacher_score: of the teacher on the rows.
        trivial_score: of the best answer that ignores the input.
        num_rows: rows that there are.

    Raises:
        InvalidConfigError: if an answer that ignores the input keeps the share.
        InvalidDataError: if there are too few rows to say anything.
    """
    if not teacher_score > 0:
        raise InvalidDataError(
            "To keep a share of the teacher's score, that score is greater than zero",
            f"it is {teacher_score:.4f} on {num_rows:,} development rows",
            "Check the teacher and the labels, or ask for no share (keep: 0, --keep none)",
        )
    if num_rows < MIN_ROWS:
        raise InvalidDataError(
            f"To keep a share of the teacher's score, at least {MIN_ROWS} development rows are needed",
            f"{num_rows:,} came",
            "Give more development rows, or ask for no share (keep: 0, --keep none)",
        )
    if keep * teacher_score <= trivial_score:
        raise InvalidConfigError(
            "The share to keep must ask for more than an answer that ignores the input",
            f"keep={keep:g} of the teacher's {teacher_score:.4f} is {keep * teacher_score:.4f}; that answer has "
            f"{trivial_score:.4f}",
            f"Raise keep above {trivial_score / teacher_score:.3f}, ask for no share (keep: 0, --keep none), or give a "
            "better teacher",
        )


def rows_to_show(keep: float, teacher_score: float, *, alpha: float) -> int | None:
    """About how many rows show that a share is kept, with confidence 1 - alpha, by a student that errs as often as its
    teacher, on other rows. None: no number does, as for a teacher without errors.
    """
    num_rows = 10_000
    half = round(num_rows * min(_DISAGREEMENT / 2, max(1 - teacher_score, 0)))
    teacher = (np.arange(num_rows) < max(round(teacher_score * num_rows), half)).astype(np.float64)
    student = teacher.copy()
    student[:half], student[num_rows - half :] = 0.0, 1.0
    needed = smallest_number(student - keep * teacher, bonferroni_quantile(alpha, 1))
    return math.ceil(needed) if math.isfinite(needed) else None
