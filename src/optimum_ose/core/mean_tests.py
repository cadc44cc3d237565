"""One-sided tests that a mean of paired differences is not negative, for few, skewed, heavy-tailed or rare values."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, stdtrit

Array = NDArray[np.float64]

MIN_ROWS_THAT_DIFFER = 30
"""Where the range is known, Student's t is used if the differences vary as much as those of so many rows that differ by
all that is possible, and the variance has as many degrees of freedom; betting else."""
BETTING_SHARE = 0.25
"""Part of alpha that comparisons by betting may use where the range is known; Student's t has the rest."""
_LEAST_TILT = 0.5
"""Skewness over the root of the number of rows that is allowed for at one degree of freedom; ours."""
_DOUBT = 2
"""Factor on the skewness against a claim, of which a sample shows too little; ours."""
_CLIPPED_ABOVE = 0.99
_NUMBERS = np.geomspace(8, 1e9, 400)
"""Numbers of rows that are tried."""
_BETS = np.concatenate([np.geomspace(1e-3, 0.5, 24), [0.65, 0.8, 0.95]])
"""Shares of the largest bet that cannot lose everything."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What Student's t needs to know of k distributions, each of shape (k,).

    Attributes:
        effect: mean over standard deviation; zero where nothing varies.
        skewness: third standardized moment.
        degrees: Satterthwaite's degrees of freedom of the variance per row, 2 / (kurtosis - 1); zero where nothing
            varies. A variance that rests on few rows is not well known.

    Source of the degrees of freedom: F. E. Satterthwaite, Biometrics 2 (1946) 110-114.
    """

    effect: Array
    skewness: Array
    degrees: Array

    @staticmethod
    def of(differences: Array) -> "Moments":
        """The moments of samples of shape (k, n)."""
        num_rows = differences.shape[1]
        means = differences.mean(axis=1)
        centered = differences - means[:, None]
        squares = np.square(centered)
        variances = squares.mean(axis=1)
        varies = variances > 1e-24 * np.maximum(np.square(differences).max(axis=1), 1e-300)
        scale = np.sqrt(np.where(varies, variances, 1.0))
        skewness = np.einsum("kn,kn->k", squares, centered) / num_rows / scale**3
        kurtosis = np.einsum("kn,kn->k", squares, squares) / num_rows / scale**4
        return Moments(
            effect=np.where(varies, means / scale, 0.0),
            skewness=np.where(varies, skewness, 0.0),
            degrees=np.where(varies, 2 / np.maximum(kurtosis - 1, 1e-9), 0.0),
        )

    def degrees_of(self, num_rows: float | Array) -> Array:
        """Degrees of freedom of the variance of samples of n rows, at most n - 1."""
        return np.asarray(np.minimum(self.degrees * num_rows, num_rows - 1))

    def are_positive(self, quantiles: Array, num_rows: float | Array) -> NDArray[np.bool_]:
        """Whether samples of n rows show that the means are not negative.

        Student's t must exceed its critical value, corrected for skewness to first order. Skewness against the claim is
        doubled, and some is always allowed for, more where there are few degrees of freedom: a sample shows too little
        of a long tail.

        Args:
            quantiles: critical values of a standard normal, shape (k,).
            num_rows: n, a number or an array of shape (k,).

        Source: N. J. Johnson, J. Amer. Statist. Assoc. 73 (1978) 536-544; the allowance is ours.
        """
        degrees = np.maximum(self.degrees_of(num_rows), 1e-9)
        critical = -stdtrit(np.maximum(degrees, 1.0), ndtr(-quantiles))
        tilt = np.maximum(-_DOUBT * self.skewness / np.sqrt(num_rows), _LEAST_TILT / np.sqrt(degrees))
        limits = critical + tilt * (2 * critical**2 + 1) / 6
        return np.asarray((degrees >= 1) & (self.effect * np.sqrt(num_rows - 1) >= limits))


def clipped(differences: Array) -> Array:
    """The differences with the few that favor the claim most cut off, shape (k, n), so that none of them decides it.

    What is cut off only lowers the mean. The limit is the 99% quantile, or what the most adverse row has against the
    claim, whichever is greater.
    """
    limits = np.maximum(np.quantile(differences, _CLIPPED_ABOVE, axis=1), -differences.min(axis=1))
    return np.asarray(np.minimum(differences, limits[:, None]))


def log_evidence(differences: Array, lower: Array) -> Array:
    """Log e-values against a negative mean: if it is negative, exp(x) exceeds 1 / alpha with probability alpha at most.

    Valid for every number of rows and every distribution above `lower`: the capital of one who bets shares of it on
    each row, averaged over the shares. It does not depend on the order of the rows.

    Args:
        differences: shape (k, n).
        lower: smallest value that a difference could have had, shape (k,), below zero.

    Source: I. Waudby-Smith and A. Ramdas, J. R. Statist. Soc. B 86 (2024) 1-27; the mixture over fixed bets is ours.
    """
    scaled = differences / -lower[:, None]
    capitals = np.stack([np.log1p(np.maximum(bet * scaled, -1 + 1e-12)).sum(axis=1) for bet in _BETS])
    return np.asarray(logsumexp(capitals, axis=0) - math.log(len(_BETS)))


def positive(differences: Array, *, quantiles: Array, lower: Array | None, log_threshold: float) -> NDArray[np.bool_]:
    """Whether each of k means is proven not to be negative: by Student's t, but where few rows carry the variance and a
    range is known by betting.

    Args:
        differences: shape (k, n).
        quantiles: critical values of a standard normal, shape (k,).
        lower: smallest value that a difference could have had, shape (k,); None: unknown.
        log_threshold: log e-value that is enough.
    """
    proven = Moments.of(clipped(differences)).are_positive(quantiles, differences.shape[1])
    rare = np.flatnonzero(is_rare(differences, lower)) if lower is not None else np.zeros(0, dtype=np.int64)
    if lower is not None and len(rare):
        proven[rare] = log_evidence(differences[rare], np.minimum(lower[rare], -1e-12)) >= log_threshold
    return proven


def is_rare(differences: Array, lower: Array) -> NDArray[np.bool_]:
    """Whether too few rows differ for Student's t, so that a kind of row that was not seen could decide, shape (k,).

    Args:
        differences: shape (k, n).
        lower: smallest value that a difference could have had, shape (k,).
    """
    num_rows = differences.shape[1]
    degrees = Moments.of(clipped(differences)).degrees_of(num_rows)
    num_differing = num_rows * differences.var(axis=1) / np.square(np.minimum(lower, -1e-12))
    return np.asarray((degrees < MIN_ROWS_THAT_DIFFER) | (num_differing < MIN_ROWS_THAT_DIFFER))


def smallest_number(differences: Array, quantile: float) -> float:
    """About how many rows like these would prove by Student's t that a mean is not negative; infinite if it is, or
    beyond a thousand million.

    Args:
        differences: shape (n,).
        quantile: critical value of a standard normal.
    """
    found = Moments.of(clipped(differences[None]))
    passing = found.are_positive(np.full(len(_NUMBERS), quantile), _NUMBERS)
    first = int(np.flatnonzero(~passing)[-1]) + 1 if not passing.all() else 0
    return float(_NUMBERS[first]) if first < len(_NUMBERS) else math.inf
