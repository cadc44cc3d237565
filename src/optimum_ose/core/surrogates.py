"""Owns the error surrogate e-hat: a Gaussian process on log axes, averaged over its hyperparameters and noise."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_KERNELS = ((2.5, 0.5), (2.5, 1.0), (2.5, 2.0), (2.5, 4.0), (0.5, 2.0))
"""(Matern smoothness, length scale in units of an axis's range): smooth errors, and a rough kernel for jumps."""
_AMPLITUDES = np.geomspace(1e-3, 10, 13)
"""Standard deviation of the process, in units of the spread of the observed log errors."""
_NOISES = np.geomspace(1e-4, 1, 13)
"""Standard deviation of the noise where nothing is known, in the same units."""
_KNOWN_NOISES = ((1.0, 0.8), (1.5, 0.15), (2.25, 0.05))
"""(multiple, prior probability) of the noise that the user states: it may be understated."""
_HIDDEN_SHARE = 0.2
"""True deviation of a candidate from every smooth surface, in units of the noise, for kinks below the noise do not show
in the data; set by benchmarks/certificate.py."""
_WEIGHT_FLOOR = 1e-5
"""Hyperparameters less probable than this are dropped."""
_CHUNK = 1 << 13


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """One kernel, with the eigenbasis of the data's residual space and the h hyperparameters worth keeping.

    Attributes:
        shape: smoothness and length scale.
        eigenvalues: of the kernel among the observations, projected on the residual space, shape (r,).
        basis: the orthonormal eigenbasis, shape (n, r).
        rotated: the observed values in that basis, shape (r,).
        amplitudes: tau^2, shape (h,).
        noises: sigma^2, shape (h,).
        weights: posterior probabilities, shape (h,).
    """

    shape: tuple[float, float]
    eigenvalues: Array
    basis: Array
    rotated: Array
    amplitudes: Array
    noises: Array
    weights: Array

    @property
    def inverse_variances(self) -> Array:
        """Of the rotated values, shape (h, r)."""
        return np.asarray(1 / (self.amplitudes[:, None] * self.eigenvalues + self.noises[:, None]))

    @property
    def inflation(self) -> Array:
        """Factor by which leave-one-out residuals say that the standard deviations are too small, shape (h,).

        The largest of the n standardized residuals over the median of the largest of n standard normals: a jump that
        the kernel does not foresee widens every interval.
        """
        inverse = self.inverse_variances
        residuals = (inverse * self.rotated) @ self.basis.T / np.sqrt(inverse @ (self.basis**2).T + 1e-300)
        foreseen = float(ndtri(0.5 ** (0.5 / len(self.basis))))
        return np.asarray(np.maximum(1, np.abs(residuals).max(axis=1) / foreseen))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """The log errors of all candidates given those observed; made by `fit_surrogate`.

    Attributes:
        features: coordinates of all candidates, shape (N, d).
        observed: the candidates observed, shape (n,).
        scales: square roots of the observations behind each value, shape (n,); scaled by them, all values are equally
            noisy.
        values: observed log errors, scaled, shape (n,).
        kernels: the kernels averaged over.
    """

    features: Array
    observed: Indices
    scales: Array
    values: Array
    kernels: tuple[_Kernel, ...]

    def noise_quantile(self, level: float) -> float:
        """The noise standard deviation that is not exceeded with probability `level`."""
        noises = np.sqrt(np.concatenate([kernel.noises for kernel in self.kernels]))
        order = np.argsort(noises, kind="stable")
        cumulated = np.cumsum(np.concatenate([kernel.weights for kernel in self.kernels])[order])
        return float(noises[order][min(int(np.searchsorted(cumulated, level)), len(noises) - 1)])

    def mean(self, candidates: Indices) -> Array:
        """Expected log errors of m candidates, shape (m,)."""
        parts = [self._moments(kernel, candidates, None)[0] for kernel in self.kernels]
        return np.asarray(sum(kernel.weights @ mean for kernel, mean in zip(self.kernels, parts, strict=True)))

    def probability_below(self, candidates: Indices, threshold: Array, *, reference: int | None = None) -> Array:
        """Probability of the log error of each of m candidates to lie below a threshold.

        Args:
            candidates: indices, shape (m,).
            threshold: log errors, shape (m,).
            reference: a candidate relative to whose log error the thresholds are counted; None: to zero.

        Returns:
            float64 array of shape (m,), in [0, 1].
        """
        total = np.zeros(len(candidates))
        for start in range(0, len(candidates), _CHUNK):
            part = slice(start, start + _CHUNK)
            for kernel in self.kernels:
                mean, deviation = self._moments(kernel, candidates[part], reference)
                total[part] += kernel.weights @ ndtr((threshold[part] - mean) / deviation)
        return total

    def _moments(self, kernel: _Kernel, candidates: Indices, reference: int | None) -> tuple[Array, Array]:
        """Mean and standard deviation under each hyperparameter, both of shape (h, m), by universal kriging.

        With b the least-squares weights of the linear trend, f - b'y is free of the trend's coefficients; its
        covariance with the residual data and its variance are linear in tau^2 and sigma^2. What the noise may hide is
        added for each candidate.
        """
        x, y = self.features[candidates], self.features[self.observed]
        trend, cross, prior = _trend(x), _matern(x, y, kernel.shape) * self.scales, np.ones(len(x))
        if reference is not None:
            origin = self.features[[reference]]
            trend, cross = trend - _trend(origin), cross - _matern(origin, y, kernel.shape) * self.scales
            prior = 2 - 2 * _matern(x, origin, kernel.shape)[:, 0]
        among = _matern(y, y, kernel.shape) * np.outer(self.scales, self.scales)
        b = trend @ np.linalg.pinv(self.scales[:, None] * _trend(y))
        covariance = (cross - b @ among) @ kernel.basis
        process = prior - 2 * np.sum(b * cross, axis=1) + np.sum((b @ among) * b, axis=1)
        gain = kernel.amplitudes[:, None] * kernel.inverse_variances
        mean = b @ self.values + (gain * kernel.rotated) @ covariance.T
        variance = kernel.amplitudes[:, None] * process + kernel.noises[:, None] * np.sum(b * b, axis=1)
        variance -= (kernel.amplitudes[:, None] * gain) @ (covariance**2).T
        hidden = np.ones(len(x)) if reference is None else 2.0 * (candidates != reference)
        variance += kernel.noises[:, None] * _HIDDEN_SHARE**2 * hidden
        return mean, kernel.inflation[:, None] * np.sqrt(np.maximum(variance, 1e-18))


def fit_surrogate(
    features: Array,
    observed: Indices,
    log_errors: Array,
    *,
    counts: Array,
    scatter: float,
    degrees: float,
    noise: float | None,
    noise_floor: float,
) -> Posterior | None:
    """Fit the surrogate to observed log errors.

    The model: log e = linear in the log axes (a power law) + Gaussian process + noise. Every setting of a grid of
    hyperparameters is kept with the weight that its restricted marginal likelihood gives it, so that the intervals know
    how little a few points say; leave-one-out residuals widen them where the data contradict the model.

    Args:
        features: coordinates of all candidates, shape (N, d), from `features.axis_features`.
        observed: the candidates observed, without repetition, shape (n,).
        log_errors: their mean log errors, shape (n,).
        counts: replicates in each mean, shape (n,).
        scatter: sum of squared deviations of the replicates from their means.
        degrees: degrees of freedom of `scatter`.
        noise: standard deviation of a single observation, if it is known.
        noise_floor: standard deviation that the noise is known to reach.

    Returns:
        the posterior; None while there are too few observations to tell a trend from noise.

    Cost: O(n^3 + g n) for g = 169 hyperparameters, for each of 5 kernels.
    """
    scales = np.sqrt(counts)
    left, singular, _ = np.linalg.svd(scales[:, None] * _trend(features[observed]), full_matrices=True)
    num_coefficients = features.shape[1] + 1
    if len(observed) < num_coefficients + 3 or singular[-1] < 1e-6 * singular[0]:
        return None
    null_space = left[:, num_coefficients:]
    spread = max(float(np.std(log_errors)), 1e-6)
    noises, prior = _noise_grid(spread, noise, max(noise_floor, 1e-6))
    log_prior = np.log(prior) - degrees * np.log(noises) - scatter / (2 * noises**2)
    grid = np.meshgrid((spread * _AMPLITUDES) ** 2, noises**2, indexing="ij")
    amplitudes, noise_variances = grid[0].ravel(), grid[1].ravel()
    fitted = []
    for shape in _KERNELS:
        among = _matern(features[observed], features[observed], shape) * np.outer(scales, scales)
        eigenvalues, eigenvectors = np.linalg.eigh(null_space.T @ among @ null_space)
        eigenvalues, basis = np.maximum(eigenvalues, 0), null_space @ eigenvectors
        rotated = (scales * log_errors) @ basis
        variances = amplitudes[:, None] * eigenvalues + noise_variances[:, None]
        log_likelihood = -np.sum(np.log(variances) + rotated**2 / variances, axis=1) / 2
        log_weights = np.tile(log_prior, len(_AMPLITUDES)) + log_likelihood
        fitted.append((shape, eigenvalues, basis, rotated, log_weights))
    return Posterior(
        features=features,
        observed=observed,
        scales=scales,
        values=scales * log_errors,
        kernels=_weighted(fitted, amplitudes, noise_variances),
    )


def _weighted(
    fitted: list[tuple[tuple[float, float], Array, Array, Array, Array]], amplitudes: Array, noises: Array
) -> tuple[_Kernel, ...]:
    weights = np.stack([item[-1] for item in fitted])
    weights = np.exp(weights - weights.max())
    weights /= weights.sum()
    weights[weights < _WEIGHT_FLOOR] = 0
    weights /= weights.sum()
    return tuple(
        _Kernel(
            shape=shape,
            eigenvalues=eigenvalues,
            basis=basis,
            rotated=rotated,
            amplitudes=amplitudes[weight > 0],
            noises=noises[weight > 0],
            weights=weight[weight > 0],
        )
        for (shape, eigenvalues, basis, rotated, _), weight in zip(fitted, weights, strict=True)
        if (weight > 0).any()
    )


def _noise_grid(spread: float, noise: float | None, floor: float) -> tuple[Array, Array]:
    if noise is None:
        noises = np.maximum(spread * _NOISES, floor)
        return noises, np.full(len(noises), 1 / len(noises))
    multiples, prior = np.array(_KNOWN_NOISES).T
    # The relative floor keeps the arithmetic well conditioned where errors are exact.
    return np.maximum(noise * multiples, max(floor, 1e-4 * spread)), prior


def _trend(features: Array) -> Array:
    return np.concatenate([np.ones((len(features), 1)), features], axis=1)


def _matern(left: Array, right: Array, shape: tuple[float, float]) -> Array:
    smoothness, length = shape
    squared = np.sum(left**2, axis=1)[:, None] + np.sum(right**2, axis=1) - 2 * left @ right.T
    distances = np.sqrt(np.maximum(squared, 0)) / length
    if smoothness == 0.5:
        return np.asarray(np.exp(-distances))
    scaled = np.sqrt(5) * distances
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))
