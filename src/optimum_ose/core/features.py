"""Owns the coordinates in which the error surrogate and the starting design see the candidates."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_COLLINEAR = 1e-9
"""Share of the largest variance below which a direction counts as not varying."""


def axis_features(columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Coordinates in which log errors are modeled: the logarithms of the axes that vary, each scaled to [0, 1].

    Axes that only vary together, as in a family of tiny, small and large networks, are merged into principal ones.

    Args:
        columns: axis -> int64 array of shape (N,).

    Returns:
        float64 array of shape (N, d).
    """
    logs = np.log(np.stack(list(columns.values()), axis=1).astype(np.float64))
    ranges = np.ptp(logs, axis=0)
    varies = ranges > 0
    scaled = (logs[:, varies] - logs.min(axis=0)[varies]) / ranges[varies]
    strengths, directions = np.linalg.eigh(np.atleast_2d(np.cov(scaled, rowvar=False, bias=True)))
    independent = strengths > _COLLINEAR * strengths.max(initial=0)
    return np.asarray(scaled if independent.all() else scaled @ directions[:, independent])


def size_coordinates(columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Coordinates for an even spread over sizes: the logarithms of the axes that vary, each scaled to [0, 1].

    Axes that are the same after scaling, such as the width and the number of heads of one size, count once.

    Args:
        columns: axis -> int64 array of shape (N,).

    Returns:
        float64 array of shape (N, d), larger for larger candidates.
    """
    kept: list[NDArray[np.float64]] = []
    for column in columns.values():
        logs = np.log(column.astype(np.float64))
        if np.ptp(logs) > 0:
            scaled = (logs - logs.min()) / np.ptp(logs)
            if not any(np.allclose(scaled, other, atol=_COLLINEAR) for other in kept):
                kept.append(scaled)
    return np.stack(kept, axis=1) if kept else np.zeros((len(next(iter(columns.values()))), 0))
