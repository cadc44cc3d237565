"""Owns the error surrogate e-hat: a Gaussian process on log axes whose hyperparameters and noise are averaged over, not chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

_KERNELS = ((2.5, 0.5), (2.5, 1.0), (2.5, 2.0), (2.5, 4.0), (0.5, 2.0))
"""(Matern smoothness, length scale in units of an axis's range): smooth errors, and one rough kernel for jumps."""
_AMPLITUDES = np.geomspace(1e-3, 10, 13)
"""Standard deviation of the process, in units of the spread of the observed log errors."""
_NOISES = np.geomspace(1e-4, 1, 13)
"""Standard deviation of the noise where nothing is known, in the same units."""
_KNOWN_NOISES = np.array([1.0, 1.5, 2.25])
"""Standard deviation of the noise in units of the one that the user states: it may be understated."""
_WEIGHT_FLOOR = 1e-5
"""Hyperparameters less probable than this share of the most probable ones are dropped."""
LOO = ["none", 2.0]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Normal mixtures for m quantities that share their h weights.

    Attributes:
        weights: shape (h,), sum 1.
        means: shape (h, m).
        deviations: standard deviations, shape (h, m).
    """

    weights: Array
    means: Array
    deviations: Array

    def probability_below(self, threshold: Array) -> Array:
        """Probability of each of the m quantities to lie below its threshold, shape (m,)."""
        return np.asarray(self.weights @ ndtr((threshold - self.means) / self.deviations))

    @property
    def mean(self) -> Array:
        """Expected values, shape (m,)."""
        return np.asarray(self.weights @ self.means)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """One kernel with its eigenbasis and the hyperparameters (tau^2, sigma^2) worth keeping."""

    kernel: tuple[float, float]
    null_space: Array
    eigenvalues: Array
    eigenvectors: Array
    amplitudes: Array
    noises: Array
    weights: Array


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """The log errors of all candidates given those observed; made by `fit_surrogate`."""

    features: Array
    observed: NDArray[np.int64]
    values: Array
    nodes: tuple[_Node, ...]
    inflation: float

    @property
    def noise_distribution(self) -> tuple[Array, Array]:
        """Noise standard deviations and their probabilities, ascending."""
        noises = np.concatenate([np.sqrt(node.noises) for node in self.nodes])
        weights = np.concatenate([node.weights for node in self.nodes])
        order = np.argsort(noises)
        return noises[order], weights[order]

    def noise_quantile(self, level: float) -> float:
        """The noise standard deviation that is not exceeded with probability `level`."""
        noises, weights = self.noise_distribution
        return float(noises[min(np.searchsorted(np.cumsum(weights), level), len(noises) - 1)])

    def predict(self, candidates: NDArray[np.int64], *, reference: int | None = None) -> Mixture:
        """Log errors of m candidates, or their differences to a reference candidate's.

        Args:
            candidates: indices, shape (m,).
            reference: index of the candidate whose log error is subtracted; None: nothing is.

        Returns:
            mixture over m quantities.
        """
        means, variances = [], []
        for node in self.nodes:
            mean, variance = self._predict_node(node, candidates, reference)
            means.append(mean)
            variances.append(variance)
        infl = np.concatenate([self._loo(node) for node in self.nodes])[:, None]
        deviations = infl * np.sqrt(np.maximum(np.concatenate(variances), 1e-18))
        weights = np.concatenate([node.weights for node in self.nodes])
        return Mixture(weights=weights, means=np.concatenate(means), deviations=deviations)

    def _loo(self, node: _Node) -> Array:
        basis = node.null_space @ node.eigenvectors
        inverse = 1 / (node.amplitudes[:, None] * node.eigenvalues + node.noises[:, None])
        residual = (inverse * (self.values @ basis)) @ basis.T
        precision = inverse @ (basis**2).T
        standard = np.abs(residual) / np.sqrt(precision)
        if LOO[0] == "max":
            return np.maximum(1, standard.max(axis=1) / LOO[1])
        if LOO[0] == "p4":
            return np.maximum(1, (np.mean(standard**4, axis=1) / 3) ** 0.25 * LOO[1])
        return np.ones(len(inverse))

    def _predict_node(self, node: _Node, candidates: NDArray[np.int64], reference: int | None) -> tuple[Array, Array]:
        """Universal kriging of contrasts in the eigenbasis of the data's residual space.

        With b the least-squares weights of the linear mean, f - b'y is free of the mean's coefficients; its covariance
        with the residual data and its variance are linear in tau^2 and sigma^2.
        """
        x, y = self.features[candidates], self.features[self.observed]
        basis, observed_basis = _basis(x), _basis(y)
        cross = _matern(_distances(x, y), node.kernel)
        prior = np.ones(len(x))
        if reference is not None:
            origin = self.features[[reference]]
            basis = basis - _basis(origin)
            cross = cross - _matern(_distances(origin, y), node.kernel)
            prior = 2 - 2 * _matern(_distances(x, origin), node.kernel)[:, 0]
        data_kernel = _matern(_distances(y, y), node.kernel)
        b = basis @ np.linalg.pinv(observed_basis)
        covariance = (cross - b @ data_kernel) @ node.null_space @ node.eigenvectors
        process = prior - 2 * np.sum(b * cross, axis=1) + np.sum((b @ data_kernel) * b, axis=1)
        rotated = (self.values @ node.null_space) @ node.eigenvectors
        gain = node.amplitudes[:, None] / (node.amplitudes[:, None] * node.eigenvalues + node.noises[:, None])
        mean = b @ self.values + (gain * rotated) @ covariance.T
        variance = (
            node.amplitudes[:, None] * process
            + node.noises[:, None] * np.sum(b * b, axis=1)
            - (node.amplitudes[:, None] * gain) @ (covariance**2).T
        )
        return mean, variance


def axis_features(columns: Mapping[str, NDArray[np.int64]], size: Array) -> Array:
    """Coordinates in which log errors are modeled: the logarithms of the axes that vary, and of the size, each of range 1.

    Args:
        columns: axis -> int64 array of shape (n,).
        size: parameter size, shape (n,).

    Returns:
        float64 array of shape (n, d).
    """
    logs = np.log(np.stack([*columns.values()], axis=1).astype(np.float64))
    ranges = np.ptp(logs, axis=0)
    return (logs[:, ranges > 0] - logs.min(axis=0)[ranges > 0]) / ranges[ranges > 0]


def fit_surrogate(
    features: Array, observed: NDArray[np.int64], values: Array, *, noise: float | None, noise_floor: float
) -> Posterior | None:
    """Fit the surrogate to observed log errors.

    The model: log e = linear in the log axes + Gaussian process + noise. Every hyperparameter on a grid is kept with the
    weight that the restricted marginal likelihood gives it, so that the intervals know how little a few points say.

    Args:
        features: coordinates of all candidates, shape (N, d), from `axis_features`.
        observed: index of the candidate of each observation, shape (n,); replicates repeat it.
        values: observed log errors, shape (n,).
        noise: standard deviation of the observations, if it is known.
        noise_floor: standard deviation below which the noise is known not to lie.

    Returns:
        the posterior; None while there are too few observations to tell a trend from noise.
    """
    basis = _basis(features[observed])
    left, singular, _ = np.linalg.svd(basis, full_matrices=True)
    rank = int(np.sum(singular > 1e-6 * singular[0]))
    if len(values) < rank + 3 or rank < _basis(features[:1]).shape[1]:
        return None
    null_space = left[:, rank:]
    spread = max(float(np.std(values)), 1e-6)
    nodes, log_weights = [], []
    x = features[observed]
    distances = _distances(x, x)
    if noise is None:
        noises = np.unique(np.maximum(spread * _NOISES, max(noise_floor, 1e-6)))
        noise_prior = np.zeros(len(noises))
    else:
        noises = np.maximum(noise * _KNOWN_NOISES, max(noise_floor, 1e-4 * spread))
        noise_prior = np.log([0.8, 0.15, 0.05])
    for kernel in _KERNELS:
        eigenvalues, eigenvectors = np.linalg.eigh(null_space.T @ _matern(distances, kernel) @ null_space)
        eigenvalues = np.maximum(eigenvalues, 0)
        rotated = (values @ null_space) @ eigenvectors
        tau2, sigma2 = (grid.ravel() for grid in np.meshgrid((spread * _AMPLITUDES) ** 2, noises**2, indexing="ij"))
        prior = np.tile(noise_prior, len(_AMPLITUDES))
        variances = tau2[:, None] * eigenvalues + sigma2[:, None]
        log_weight = prior - 0.5 * np.sum(np.log(variances) + rotated**2 / variances, axis=1)
        nodes.append(_Node(kernel=kernel, null_space=null_space, eigenvalues=eigenvalues, eigenvectors=eigenvectors,
                           amplitudes=tau2, noises=sigma2, weights=log_weight))
        log_weights.append(log_weight)
    peak = max(float(item.max()) for item in log_weights)
    total = sum(float(np.exp(item - peak).sum()) for item in log_weights)
    kept = []
    for node in nodes:
        weights = np.exp(node.weights - peak) / total
        keep = weights > _WEIGHT_FLOOR * (1 / total)
        if keep.any():
            kept.append(_Node(kernel=node.kernel, null_space=null_space, eigenvalues=node.eigenvalues, eigenvectors=node.eigenvectors,
                              amplitudes=node.amplitudes[keep], noises=node.noises[keep], weights=weights[keep]))
    norm = sum(float(node.weights.sum()) for node in kept)
    kept = [_Node(kernel=n.kernel, null_space=n.null_space, eigenvalues=n.eigenvalues, eigenvectors=n.eigenvectors, amplitudes=n.amplitudes, noises=n.noises, weights=n.weights / norm) for n in kept]
    return Posterior(features=features, observed=observed, values=values, nodes=tuple(kept), inflation=1.0)


def _basis(features: Array) -> Array:
    return np.concatenate([np.ones((len(features), 1)), features], axis=1)


def _distances(left: Array, right: Array) -> Array:
    squared = np.sum(left**2, axis=1)[:, None] + np.sum(right**2, axis=1) - 2 * left @ right.T
    return np.sqrt(np.maximum(squared, 0))


def _matern(distances: Array, kernel: tuple[float, float]) -> Array:
    smoothness, length = kernel
    if smoothness == 0.5:
        return np.exp(-distances / length)
    scaled = np.sqrt(5) * distances / length
    return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
