"""Owns exact integer polynomials, the form in which sizes and operation counts are known."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidArchitectureError

Monomial = tuple[tuple[str, int], ...]
"""Sorted (variable, exponent >= 1) pairs; the empty tuple is the constant monomial."""

_INT64_MAX = np.iinfo(np.int64).max


@final
@dataclass(frozen=True, slots=True)
class Polynomial:
    """A polynomial with integer coefficients in named variables, in canonical form (sorted, like terms collected).

    Built from `Polynomial.variable` and `Polynomial.constant` with ``+``, ``-``, ``*`` and ``**``; integers mix in.

    Attributes:
        terms: sorted (monomial, coefficient) pairs without repetition or zero, as `Polynomial.of` makes them.
    """

    terms: tuple[tuple[Monomial, int], ...] = ()

    @staticmethod
    def of(terms: Iterable[tuple[Iterable[tuple[str, int]], int]]) -> "Polynomial":
        """The polynomial that is the sum of any (monomial, coefficient) pairs, brought into canonical form."""
        collected: dict[Monomial, int] = {}
        for factors, coefficient in terms:
            exponents: dict[str, int] = {}
            for name, exponent in factors:
                exponents[name] = exponents.get(name, 0) + int(exponent)
            monomial = tuple(sorted((name, exponent) for name, exponent in exponents.items() if exponent))
            collected[monomial] = collected.get(monomial, 0) + int(coefficient)
        return Polynomial(
            tuple(sorted((monomial, coefficient) for monomial, coefficient in collected.items() if coefficient))
        )

    @staticmethod
    def constant(value: int) -> "Polynomial":
        """The polynomial that is `value` everywhere."""
        return Polynomial.of([((), value)])

    @staticmethod
    def variable(name: str) -> "Polynomial":
        """The polynomial that is the variable `name`."""
        return Polynomial(((((name, 1),), 1),))

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables that occur, sorted."""
        return tuple(sorted({name for monomial, _ in self.terms for name, _ in monomial}))

    def degree(self, variables: Collection[str] | None = None) -> int:
        """Largest total exponent of `variables` (default: all) over the terms; -1 for the zero polynomial."""
        return max(
            (
                sum(exponent for name, exponent in monomial if variables is None or name in variables)
                for monomial, _ in self.terms
            ),
            default=-1,
        )

    def polynomial(self) -> "Polynomial":
        """Itself; see `costs.Quantity`."""
        return self

    def evaluate(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Exact values at n points.

        Args:
            columns: variable -> int64 array of shape (n,); every variable of the polynomial must be there.

        Returns:
            int64 array of shape (n,).

        Raises:
            InvalidArchitectureError: if a variable is missing, or a value might not fit in 64 bits.
        """
        missing = [name for name in self.variables if name not in columns]
        if missing:
            raise InvalidArchitectureError(
                f"This polynomial is a function of {', '.join(self.variables)}",
                f"{', '.join(missing)} is missing",
                "Give a column for every variable.",
            )
        self._require_int64(columns)
        shape = np.broadcast_shapes(*(column.shape for column in columns.values())) if columns else (1,)
        total = np.zeros(shape, dtype=np.int64)
        for monomial, coefficient in self.terms:
            term = np.full(shape, coefficient, dtype=np.int64)
            for name, exponent in monomial:
                term *= columns[name] ** exponent
            total += term
        return total

    def __add__(self, other: "Polynomial | int") -> "Polynomial":
        return Polynomial.of(self.terms + _coerce(other).terms)

    def __sub__(self, other: "Polynomial | int") -> "Polynomial":
        return self + _coerce(other) * -1

    def __mul__(self, other: "Polynomial | int") -> "Polynomial":
        return Polynomial.of((left + right, a * b) for left, a in self.terms for right, b in _coerce(other).terms)

    def __pow__(self, exponent: int) -> "Polynomial":
        return reduce(lambda product, _: product * self, range(exponent), Polynomial.constant(1))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: int) -> "Polynomial":
        return _coerce(other) - self

    def __str__(self) -> str:
        return " + ".join(_term_text(monomial, coefficient) for monomial, coefficient in self.terms) or "0"

    def _require_int64(self, columns: Mapping[str, NDArray[np.int64]]) -> None:
        """64-bit arithmetic is modular, so it is exact whenever this bound on the final sum fits."""
        largest = {name: int(np.abs(columns[name]).max(initial=0)) for name in self.variables}
        bound = sum(
            abs(coefficient) * int(np.prod([largest[name] ** exponent for name, exponent in monomial], dtype=object))
            for monomial, coefficient in self.terms
        )
        if bound > _INT64_MAX:
            raise InvalidArchitectureError(
                "Sizes and operation counts are exact 64-bit integers",
                f"values up to {bound:.3g} may occur here",
                "Use smaller axis values or a shorter sequence.",
            )


def _coerce(value: Polynomial | int) -> Polynomial:
    return value if isinstance(value, Polynomial) else Polynomial.constant(value)


def _term_text(monomial: Monomial, coefficient: int) -> str:
    factors = [name if exponent == 1 else f"{name}^{exponent}" for name, exponent in monomial]
    return " ".join([str(coefficient), *factors] if coefficient != 1 or not factors else factors)
