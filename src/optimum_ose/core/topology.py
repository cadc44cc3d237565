"""Betti numbers of a point set: how many pieces and how many holes the balls around its points have."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidDataError, MissingDependencyError


def betti_numbers(points: NDArray[Any], *, max_dimension: int = 1, num_landmarks: int = 300) -> tuple[int, ...]:
    """(b0, b1, ...): connected pieces, holes, voids of the set that the points were drawn from, as far as they show.

    An annulus has (1, 1), a disc (1, 0), two discs (2, 0). Agora's theorem ties the learnability of D to the homology
    of its open cover: compare D before and after.

    Landmarks are chosen by a greedy permutation, which evens out the density. Their Vietoris-Rips complex, which stands
    in for the union of balls, is looked at on all scales between the landmarks' spacing, below which every point is
    alone, and their enclosing radius, above which all is one piece; the answer is what holds over the widest range, as
    a ratio of scales. What is hardly larger than the gaps of the sample is not seen.

    Args:
        points: (n, ...) at least four different points; everything behind the first axis is one point.
        max_dimension: of the last Betti number, >= 0; above 1 only for a few dozen landmarks.
        num_landmarks: at most so many, and at most half of the points.

    Raises:
        InvalidDataError: if there are too few different points.
        MissingDependencyError: if ripser is not installed.

    Source: persistent homology as ripser computes it (Bauer, 2021); the choice of the scale is ours.
    """
    try:
        from ripser import ripser
    except ImportError as error:
        raise MissingDependencyError(
            "Betti numbers need ripser", f"importing it failed: {error}", "pip install 'optimum-ose[topology]'"
        ) from error
    flat = np.asarray(points, dtype=np.float64).reshape(len(points), math.prod(points.shape[1:]))
    distinct = np.unique(flat, axis=0)
    if len(distinct) < 4:
        raise InvalidDataError(
            "Betti numbers need at least four different points",
            f"got {len(points)} points, {len(distinct)} of them different",
            "Hand in more points",
        )
    # ripser takes few points of many coordinates for distances or a transposed array, and warns
    rows = _isometric(distinct) if len(distinct) <= distinct.shape[1] else distinct
    found = ripser(rows, maxdim=max_dimension, n_perm=min(num_landmarks, len(rows) // 2))
    enclosing = float(found["dperm2all"][:, found["idx_perm"]].max(axis=1).min())
    return _most_persistent(found["dgms"], least=float(found["r_cover"]), greatest=enclosing)


def _most_persistent(diagrams: Sequence[NDArray[np.float64]], *, least: float, greatest: float) -> tuple[int, ...]:
    """The Betti numbers that hold over the widest range of scales; a row of a diagram is a bar from birth to death."""
    ends = np.concatenate([bars.ravel() for bars in diagrams])
    scales = np.unique([*np.clip(ends, least, greatest), least, max(greatest, np.nextafter(least, np.inf))])
    middles = np.sqrt(scales[:-1] * scales[1:])
    alive = np.array([[np.sum((bars[:, 0] <= at) & (at < bars[:, 1])) for bars in diagrams] for at in middles])
    changes = np.flatnonzero((alive[1:] != alive[:-1]).any(axis=1)) + 1
    firsts = np.concatenate([[0], changes])
    widths = np.diff(np.log(scales[np.concatenate([firsts, [len(middles)]])]))
    return tuple(int(number) for number in alive[firsts[int(widths.argmax())]])


def _isometric(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points in coordinates of the space that they span: (n, n - 1), with the same distances."""
    left, values, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return np.asarray((left * values)[:, :-1])
