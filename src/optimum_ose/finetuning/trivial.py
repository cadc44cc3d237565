"""What a teacher must score to be better than an answer that ignores the input."""

import math

_STANDARD_ERRORS = 2.0


def required_score(trivial: float, num_rows: int) -> float:
    """The score above which a teacher is better than the trivial answer by more than chance.

    Two standard errors of a share of n rows above it, or half of the way to a faultless score where that is less.
    """
    error = math.sqrt(max(trivial * (1 - trivial), 1 / max(num_rows, 1)) / max(num_rows, 1))
    return trivial + min(_STANDARD_ERRORS * error, (1 - trivial) / 2)
