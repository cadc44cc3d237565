"""Rules between axes that models impose, beyond divisibility."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.modeling.axes import HEADS, HIDDEN


@dataclass(frozen=True, slots=True)
class HeadSize:
    """Every head keeps the size that it has in the maximum point, so that heads can be inherited whole."""

    size: int
    """Width of one head."""
    hidden: str = HIDDEN
    """Axis of the width."""
    heads: str = HEADS
    """Axis of the number of heads."""

    @property
    def axes(self) -> tuple[str, ...]:
        """See `Constraint.axes`."""
        return (self.hidden, self.heads)

    @property
    def sentence(self) -> str:
        """See `Constraint.sentence`."""
        return f"{self.hidden} is {self.size} times {self.heads}"

    def holds(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """See `Constraint.holds`."""
        return np.asarray(columns[self.hidden] == self.size * columns[self.heads])

    def violation(self, architecture: Architecture) -> str:
        """See `Constraint.violation`."""
        return (
            f"{self.hidden}={architecture[self.hidden]} is not {self.size} times "
            f"{self.heads}={architecture[self.heads]}; that would be {self.size * architecture[self.heads]}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AtMost:
    """The value of one axis is at most that of another."""

    smaller: str
    """Axis that is bounded."""
    larger: str
    """Axis that bounds it."""

    @property
    def axes(self) -> tuple[str, ...]:
        """See `Constraint.axes`."""
        return (self.smaller, self.larger)

    @property
    def sentence(self) -> str:
        """See `Constraint.sentence`."""
        return f"{self.smaller} is at most {self.larger}"

    def holds(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """See `Constraint.holds`."""
        return np.asarray(columns[self.smaller] <= columns[self.larger])

    def violation(self, architecture: Architecture) -> str:
        """See `Constraint.violation`."""
        bound = architecture[self.larger]
        return f"{self.smaller}={architecture[self.smaller]} is more than {self.larger}={bound}; at most {bound} fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportional:
    """Two axes keep the ratio that they have in the maximum point."""

    axis: str
    """One axis."""
    other: str
    """The axis that it follows."""
    numerator: int
    """Value of `axis` in the maximum point."""
    denominator: int
    """Value of `other` in the maximum point."""

    @property
    def axes(self) -> tuple[str, ...]:
        """See `Constraint.axes`."""
        return (self.axis, self.other)

    @property
    def sentence(self) -> str:
        """See `Constraint.sentence`."""
        return f"{self.axis} is to {self.other} as {self.numerator} to {self.denominator}"

    def holds(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """See `Constraint.holds`."""
        return np.asarray(columns[self.axis] * self.denominator == columns[self.other] * self.numerator)

    def violation(self, architecture: Architecture) -> str:
        """See `Constraint.violation`."""
        fitting = architecture[self.other] * self.numerator / self.denominator
        return (
            f"{self.axis}={architecture[self.axis]} is not to {self.other}={architecture[self.other]} as "
            f"{self.numerator} to {self.denominator}; that would be {fitting:g}"
        )
