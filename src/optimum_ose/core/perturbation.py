"""tau for vectors and images: new points near given points, at radii measured in the spacing of the training set."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

_NUM_NEIGHBORS = 5  # a direction "towards a neighbor" takes one of these nearest training points


def median_nearest_neighbor_distance(points: NDArray[Any]) -> float:
    """The median distance of a point to its nearest different point: the unit in which tau's radii are given.

    Args:
        points: (n, ...) at least two different points; everything behind the first axis is one point.

    Raises:
        InvalidDataError: if there are fewer than two different points.
    """
    distinct = np.unique(_flat(points), axis=0)
    if len(distinct) < 2:
        raise InvalidDataError(
            "the spacing of a set needs at least two different points",
            f"got {len(points)} points, {len(distinct)} of them different",
            "Hand in more training points",
        )
    distances, _ = cKDTree(distinct).query(distinct, k=2)
    return float(np.median(distances[:, 1]))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VectorPerturbation:
    """tau: x + r u, with u a random direction or the one towards a neighbor of x in the training set.

    The paper leaves tau open; this form and its radii are ours.

    Args:
        min_distance: least r, >= 0, in median nearest-neighbor distances of the training set.
        max_distance: greatest r, in the same unit.
        points_per_mistake: new points near each mistake, >= 1.
        neighbor_share: probability of a direction towards a neighbor, in [0, 1].

    Raises:
        InvalidConfigError: if a setting is outside its range.
    """

    min_distance: float = 0.1
    max_distance: float = 1.0
    points_per_mistake: int = 1
    neighbor_share: float = 0.5

    def __post_init__(self) -> None:
        if not (
            0 <= self.min_distance < self.max_distance
            and self.points_per_mistake >= 1
            and 0 <= self.neighbor_share <= 1
        ):
            raise InvalidConfigError(
                "VectorPerturbation needs 0 <= min_distance < max_distance, points_per_mistake >= 1 "
                "and 0 <= neighbor_share <= 1",
                f"got {self.min_distance}, {self.max_distance}, {self.points_per_mistake} and {self.neighbor_share}",
                "Change the setting that is out of range",
            )

    def __call__(
        self, mistakes: NDArray[Any], points: NDArray[Any], *, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """New points near the mistakes.

        Args:
            mistakes: (m, ...) points to sample around.
            points: (n, ...) the training set D, which gives the unit of distance and the neighbors.
            generator: source of radii and directions.

        Returns:
            (m * points_per_mistake, ...) new points, those of one mistake side by side.

        Raises:
            InvalidDataError: if `points` holds fewer than two different points.
        """
        unit = median_nearest_neighbor_distance(points)
        origins = np.repeat(_flat(mistakes), self.points_per_mistake, axis=0)
        directions = generator.normal(size=origins.shape)
        towards = self._towards_neighbors(origins, _flat(points), generator=generator)
        usable = (generator.random(len(origins)) < self.neighbor_share) & towards.any(axis=1)
        directions[usable] = towards[usable]
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        radii = unit * generator.uniform(self.min_distance, self.max_distance, size=(len(origins), 1))
        return (origins + radii * directions).reshape(-1, *mistakes.shape[1:])

    def _towards_neighbors(
        self, origins: NDArray[np.float64], points: NDArray[np.float64], *, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        num_neighbors = min(_NUM_NEIGHBORS, len(points))
        _, nearest = cKDTree(points).query(origins, k=range(1, num_neighbors + 1))
        chosen = generator.integers(num_neighbors, size=len(origins))
        towards: NDArray[np.float64] = points[nearest[np.arange(len(origins)), chosen]] - origins
        return towards


def _flat(points: NDArray[Any]) -> NDArray[np.float64]:
    """(n, ...) as (n, d); a column of numbers becomes n points on a line."""
    return np.asarray(points, dtype=np.float64).reshape(len(points), math.prod(points.shape[1:]))
