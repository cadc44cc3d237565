"""Owns the coordinates in which the error surrogate and the designs see the candidates."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_COLLINEAR = 1e-6
"""Root mean square below which what the axes before it leave of an axis counts as nothing."""


def axis_features(columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Coordinates of the candidates: the logarithms of the axes that vary, each scaled to [0, 1].

    An axis whose logarithm is a linear function of those before it is left out: width and heads of one head size, or
    the axes of a family of tiny, small and large networks, count once.

    Args:
        columns: axis -> int64 array of shape (N,).

    Returns:
        float64 array of shape (N, d), larger for larger candidates.
    """
    num_candidates = len(next(iter(columns.values())))
    basis, kept = [np.full(num_candidates, num_candidates**-0.5)], []
    for column in columns.values():
        logs = np.log(column.astype(np.float64))
        if np.ptp(logs) == 0:
            continue
        scaled = residual = (logs - logs.min()) / np.ptp(logs)
        for direction in basis:
            residual = residual - (direction @ residual) * direction
        length = float(np.linalg.norm(residual))
        if length > _COLLINEAR * num_candidates**0.5:
            kept.append(scaled)
            basis.append(residual / length)
    return np.stack(kept, axis=1) if kept else np.zeros((num_candidates, 0))
