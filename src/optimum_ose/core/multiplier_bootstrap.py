"""Critical values that hold for many correlated comparisons at once, by a Gaussian multiplier bootstrap."""

import math
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]

_MOST_DRAWS, _FEWEST_DRAWS = 4000, 1000
_MOST_NUMBERS = 8_000_000
"""Draws times C that are held; beyond it fewer draws are made."""
_CHUNK = 2048


@final
class MultiplierBootstrap:
    """The joint distribution of the means of n rows of C values, as far as their covariance tells it.

    Args:
        values: shape (C, n); each of the C is scaled as its comparisons use it.
        seed: of the multipliers.

    Source: V. Chernozhukov, D. Chetverikov and K. Kato, Ann. Statist. 41 (2013) 2786-2819.
    """

    def __init__(self, values: Array, *, seed: int) -> None:
        self._centered = values - values.mean(axis=1, keepdims=True)
        self._num_draws = min(max(_MOST_NUMBERS // len(values), _FEWEST_DRAWS), _MOST_DRAWS)
        factor = self._centered / math.sqrt(values.shape[1])
        if len(values) < values.shape[1]:  # fewer numbers of the same distribution
            eigenvalues, eigenvectors = np.linalg.eigh(factor @ factor.T)
            factor = eigenvectors * np.sqrt(np.maximum(eigenvalues, 0))
        generator = np.random.default_rng(np.random.SeedSequence(seed))
        self._draws = factor @ generator.standard_normal((factor.shape[1], self._num_draws))

    def quantile_against(self, index: int, alpha: float) -> float:
        """The 1 - alpha quantile of the largest studentized difference between one of the C and each of the others.

        Never above Bonferroni's, and never below the quantile of a single comparison.
        """
        draws, centered, largest = self._draws, self._centered, np.full(self._num_draws, -np.inf)
        for begin in range(0, len(draws), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            scale = np.sqrt(np.square(centered[part] - centered[index]).mean(axis=1))
            differ = scale > 0
            if differ.any():
                studentized = (draws[part][differ] - draws[index]) / scale[differ, None]
                np.maximum(largest, studentized.max(axis=0), out=largest)
        found = float(np.quantile(largest, 1 - alpha)) if np.isfinite(largest).all() else math.inf
        return _between(found, alpha, len(draws) - 1)

    def quantile_of_largest(self, indices: NDArray[np.int64], alpha: float) -> float:
        """The 1 - alpha quantile of the largest studentized mean of some of the C, between the same limits."""
        scale = np.sqrt(np.square(self._centered[indices]).mean(axis=1))
        differ = scale > 0
        if not differ.any():
            return bonferroni_quantile(alpha, len(indices))
        studentized = self._draws[indices][differ] / scale[differ, None]
        return _between(float(np.quantile(studentized.max(axis=0), 1 - alpha)), alpha, len(indices))


def bonferroni_quantile(alpha: float, num_comparisons: int) -> float:
    """The normal quantile at which `num_comparisons` comparisons hold together, whatever their correlation."""
    return -float(ndtri(alpha / max(num_comparisons, 1)))


def _between(quantile: float, alpha: float, num_comparisons: int) -> float:
    return min(max(quantile, bonferroni_quantile(alpha, 1)), bonferroni_quantile(alpha, num_comparisons))
