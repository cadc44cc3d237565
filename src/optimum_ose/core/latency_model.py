"""Owns the latency model: a non-negative linear function of operation counts, fitted to measured candidates.

The method is ours; that i-hat may be wall clock is de Wynter & Perry, arXiv:2010.10499.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from optimum_ose.core.costs import MIN_CANDIDATES, SEQUENCE_LENGTH, CostModel
from optimum_ose.core.polynomial import Monomial
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

Array = NDArray[np.float64]
Columns = Mapping[str, NDArray[np.int64]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyModel:
    """Predicts the latency of any candidate of a search space, and knows by how much it was wrong.

    Attributes:
        terms: monomials in the axes less one, the kinds of work; see `work`.
        coefficients: milliseconds per unit of each term, none negative, so that no candidate is predicted slower than
            one that is at least as large in every axis.
        num_measured: candidates that were fitted.
        errors: predicted / measured - 1 of each held-back candidate, by a model that had not seen it.
    """

    terms: tuple[Monomial, ...]
    coefficients: tuple[float, ...]
    num_measured: int
    errors: tuple[float, ...]

    @property
    def median_error(self) -> float:
        """Median of the held-back |predicted / measured - 1|."""
        return float(np.median(np.abs(self.errors)))

    @property
    def worst_error(self) -> float:
        """Largest held-back |predicted / measured - 1|."""
        return float(np.max(np.abs(self.errors)))

    @property
    def margin(self) -> float:
        """Largest share by which a held-back candidate was slower than predicted: max(measured / predicted) - 1, >= 0.

        A new candidate, drawn as the h held-back ones were, exceeds it with probability of about 1 / (h + 1).
        """
        return max(0.0, max(1 / (1 + error) for error in self.errors) - 1)

    def predict(self, columns: Columns) -> Array:
        """Latencies of n candidates.

        Args:
            columns: axis -> int64 array of shape (n,).

        Returns:
            float64 array of shape (n,), milliseconds, positive.
        """
        return np.asarray(work(self.terms, columns) @ np.array(self.coefficients))

    def upper_bound(self, columns: Columns) -> Array:
        """Predictions with the margin on top, prediction * (1 + margin); shape (n,), milliseconds."""
        return np.asarray(self.predict(columns) * (1 + self.margin))


def latency_terms(cost_model: CostModel, axes: Collection[str]) -> tuple[Monomial, ...]:
    """The kinds of work that a latency is a sum of, at one batch and sequence length.

    They are the monomials of the exact multiply-adds (matrix products, by kind) and of the parameter counts (bytes that
    are read), and all their divisors: work that grows more slowly, such as what is done per row, per element, per
    layer, or once per call. An axis that changes neither count, as heads do not, may cost by itself and together with
    each axis that no count squares.

    Args:
        cost_model: exact counts of the search space.
        axes: names of its axes.

    Returns:
        Sorted monomials in the axes, the constant one included.

    Raises:
        InvalidConfigError: if no count is a polynomial.
    """
    quantities = (cost_model.multiply_adds, cost_model.other_parameters, cost_model.embedding_parameters)
    counts = [count for quantity in quantities if (count := quantity.polynomial()) is not None]
    if not counts:
        raise InvalidConfigError(
            "A latency model is a sum over the terms of polynomial operation counts",
            "the counts of this search space are no polynomials: they are counted by building",
            "Leave out max_latency_ms and inference_cost='latency', and bound max_parameters",
        )
    factors = [
        tuple((name, exponent) for name, exponent in monomial if name != SEQUENCE_LENGTH)
        for count in counts
        for monomial, _ in count.terms
    ]
    found = {divisor for monomial in factors for divisor in _divisors(monomial)} | {()}
    highest: dict[str, int] = {}
    for name, exponent in (pair for monomial in factors for pair in monomial):
        highest[name] = max(exponent, highest.get(name, 0))
    linear = [name for name, exponent in highest.items() if exponent == 1]
    for axis in set(axes) - set(highest):
        found |= {((axis, 1),), *(tuple(sorted([(axis, 1), (name, 1)])) for name in linear)}
    return tuple(sorted(found))


def fit_latency_model(
    terms: Sequence[Monomial], columns: Columns, latency_ms: Sequence[float], *, kept: Collection[int] = ()
) -> LatencyModel:
    """The non-negative coefficients of least relative squares, and their error on candidates held back one at a time.

        minimize sum_k (sum_m c_m x_m(k) / t_k - 1)^2   over c >= 0

    Args:
        terms: kinds of work, as `latency_terms` lists them.
        columns: axis -> int64 array of shape (n,): the measured candidates.
        latency_ms: their latencies t, shape (n,), milliseconds.
        kept: positions that are never held back, such as the smallest and the largest candidate: no other candidate
            lies beyond them.

    Raises:
        InvalidDataError: if fewer than `MIN_CANDIDATES` latencies came, or one is not a positive number.
    """
    measured = np.asarray(latency_ms, dtype=np.float64)
    wrong = measured[~(np.isfinite(measured) & (measured > 0))]
    if len(wrong) or len(measured) < MIN_CANDIDATES:
        raise InvalidDataError(
            f"A latency model is fitted to at least {MIN_CANDIDATES} latencies, each a number greater than zero",
            f"{len(measured)} came" + (f", one of them {wrong[0]:g}" if len(wrong) else ""),
            "Measure more candidates, or look for what broke the clock",
        )
    matrix = work(terms, columns) / measured[:, None]
    errors = []
    for left_out in sorted(set(range(len(measured))) - set(kept)):
        rest = np.arange(len(measured)) != left_out
        errors.append(float(matrix[left_out] @ _coefficients(matrix[rest])) - 1)
    return LatencyModel(
        terms=tuple(terms),
        coefficients=tuple(_coefficients(matrix).tolist()),
        num_measured=len(measured),
        errors=tuple(errors),
    )


def work(terms: Sequence[Monomial], columns: Columns) -> Array:
    """Value of each term at each of n candidates, shape (n, number of terms).

    Every axis counts from one: depth * width is (depth - 1) * width + width, a sum of two terms. Apart, they can cost
    unlike, as they do where the last layer computes one token only; and growing an axis still never predicts a gain.
    """
    length = len(next(iter(columns.values())))
    values = np.ones((length, len(terms)))
    for position, monomial in enumerate(terms):
        for name, exponent in monomial:
            values[:, position] *= (columns[name] - 1).astype(np.float64) ** exponent
    return values


def _coefficients(matrix: Array) -> Array:
    """Non-negative c with matrix @ c near one in every row; columns are scaled alike first, for the solver's sake."""
    norms = np.linalg.norm(matrix, axis=0)
    scale = np.where(norms > 0, norms, 1.0)  # no work at all where an axis is one throughout
    solution, _ = nnls(matrix / scale, np.ones(len(matrix)))
    return np.asarray(solution / scale)


def _divisors(monomial: Monomial) -> list[Monomial]:
    choices = product(*([(name, power) for power in range(exponent + 1)] for name, exponent in monomial))
    return [tuple((name, power) for name, power in choice if power) for choice in choices]
