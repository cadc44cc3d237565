"""Owns the rules between axes that make an architecture valid for its model type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.exceptions import InvalidArchitectureError


class Constraint(Protocol):
    """A rule over the axes of a search space, decided for many candidates at once."""

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes that the rule reads."""
        ...

    @property
    def sentence(self) -> str:
        """The rule in words."""
        ...

    def holds(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Which of n candidates obey the rule.

        Args:
            columns: axis -> int64 array of shape (n,).

        Returns:
            bool array of shape (n,).
        """
        ...

    def violation(self, architecture: Architecture) -> str:
        """What is wrong with an architecture that breaks the rule, and which values would be right."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Divides:
    """The value of one axis divides the value of another without remainder.

    Attributes:
        divisor: axis that divides, for example "num_attention_heads".
        dividend: axis that is divided, for example "hidden_size".
    """

    divisor: str
    dividend: str

    @property
    def axes(self) -> tuple[str, ...]:
        """See `Constraint.axes`."""
        return (self.divisor, self.dividend)

    @property
    def sentence(self) -> str:
        """See `Constraint.sentence`."""
        return f"{self.divisor} divides {self.dividend}"

    def holds(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """See `Constraint.holds`."""
        return np.asarray(columns[self.dividend] % columns[self.divisor] == 0)

    def violation(self, architecture: Architecture) -> str:
        """See `Constraint.violation`."""
        divisor, dividend = architecture[self.divisor], architecture[self.dividend]
        below = dividend // divisor * divisor
        nearest = f"{below} and {below + divisor}" if below else f"{divisor}"
        return f"{self.dividend}={dividend} is not a multiple of {self.divisor}={divisor}; nearest multiples: {nearest}"


def require_valid(architecture: Architecture, constraints: Sequence[Constraint]) -> None:
    """Pass if the architecture obeys every constraint.

    Raises:
        InvalidArchitectureError: naming each broken constraint and the nearest values that obey it.
    """
    columns = {axis: np.array([value], dtype=np.int64) for axis, value in architecture.items()}
    broken = [rule.violation(architecture) for rule in constraints if not rule.holds(columns).all()]
    if broken:
        raise InvalidArchitectureError(
            f"An architecture obeys {', '.join(f'{rule.sentence!r}' for rule in constraints)}",
            ", and ".join(broken),
            "Choose one of the nearest values.",
        )
