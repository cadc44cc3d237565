"""Owns the Pareto front: the candidates that no other one beats in every objective at once."""

import numpy as np
from numpy.typing import NDArray


def non_dominated(objectives: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the points that no other point dominates; lower is better in every column.

    A point dominates another if it is nowhere worse and somewhere better; of equal points none dominates. Points with a
    NaN or infinite objective (failed trainings) are left out.

    Args:
        objectives: shape (n, k), one row (p, i, e) a point.

    Returns:
        int64 array, by ascending first objective, then second, and so on.

    Cost: O(n log n + n f k) for a front of f points.
    """
    finite = np.flatnonzero(np.isfinite(objectives).all(axis=1))
    remaining = finite[np.lexsort(objectives[finite].T[::-1])]
    front: list[int] = []
    while len(remaining):
        # In lexicographic order nothing that comes later dominates the first point.
        first, rest = objectives[remaining[0]], objectives[remaining]
        front.append(int(remaining[0]))
        survives = (rest < first).any(axis=1) | (rest == first).all(axis=1)
        survives[0] = False
        remaining = remaining[survives]
    return np.array(front, dtype=np.int64)
