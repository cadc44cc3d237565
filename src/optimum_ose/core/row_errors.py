"""The errors of all candidates on the same rows."""

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.objectives import ERROR_FLOOR
from optimum_ose.exceptions import InvalidDataError

MIN_ROWS = 8
"""Fewer rows say nothing about a population."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RowErrors:
    """The errors of C candidates on n rows, drawn independently from one population and used by no training.

    Attributes:
        errors: shape (C, n); lower is better, and a candidate's error is the mean of its row. A candidate with a NaN or
            an infinite error failed: it cannot win.
        savings: g of each candidate, shape (C,), so that W = g / error; ones where the error is the objective.
        lowest: smallest error that a row can have.
        highest: greatest error that a row can have, such as 1 for a wrong class; infinity: none is known, and bounds
            then rest on the rows that were seen to be like those that were not.
        floor: smallest error that a candidate is credited with.

    Raises:
        InvalidDataError: if shapes differ, rows are too few, or an error is outside the range.
    """

    errors: NDArray[np.float64]
    savings: NDArray[np.float64]
    lowest: float = 0.0
    highest: float = math.inf
    floor: float = ERROR_FLOOR

    def __post_init__(self) -> None:
        errors, savings = self.errors, self.savings
        if errors.ndim != 2 or savings.shape != errors.shape[:1] or not len(errors):
            raise InvalidDataError(
                "errors has one line of rows for each candidate, and savings one number",
                f"shapes {errors.shape} and {savings.shape} came",
                "Pass arrays of shapes (candidates, rows) and (candidates,).",
            )
        if errors.shape[1] < MIN_ROWS:
            raise InvalidDataError(
                f"Candidates are compared on at least {MIN_ROWS} rows",
                f"{errors.shape[1]} came",
                "Give more development rows.",
            )
        finite = errors[self.is_usable]
        if finite.size and not (self.lowest <= finite.min() and finite.max() <= self.highest):
            raise InvalidDataError(
                f"A row's error lies between {self.lowest:g} and {self.highest:g}",
                f"errors from {finite.min():g} to {finite.max():g} came",
                "Give the range that errors can have, or clip them.",
            )

    def take(self, candidates: NDArray[np.int64]) -> "RowErrors":
        """The same rows of some of the candidates."""
        return replace(self, errors=self.errors[candidates], savings=self.savings[candidates])

    @property
    def num_rows(self) -> int:
        """Rows that every candidate was measured on."""
        return int(self.errors.shape[1])

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Which candidates have a finite error on every row, shape (C,)."""
        return np.asarray(np.isfinite(self.errors).all(axis=1))

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean error of each candidate, shape (C,); infinite where it failed."""
        found = np.full(len(self.errors), math.inf)
        found[self.is_usable] = self.errors[self.is_usable].mean(axis=1)
        return found

    @property
    def w(self) -> NDArray[np.float64]:
        """W of each candidate on these rows, shape (C,); zero where it failed."""
        return np.asarray(self.savings / np.maximum(self.means, self.floor))
