"""The middle of a round of Agora: new points near mistakes, labeled; none of the development set."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


class Labeler(Protocol):
    """Timaeus: the trained model S that labels new points; `predict` of a fitted scikit-learn estimator is one."""

    def __call__(self, points: NDArray[Any], /) -> NDArray[Any]:
        """(n,) labels of (n, ...) points."""


class Perturbation(Protocol):
    """tau: new points near mistakes."""

    def __call__(self, mistakes: NDArray[Any], points: NDArray[Any], *, generator: np.random.Generator) -> NDArray[Any]:
        """(k, ...) new points near (m, ...) mistakes; (n, ...) points are the training set D."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """New points of one round.

    Args:
        points: (k, ...) those that may enter D.
        labels: (k,) what the labeler says of them.
        num_generated: how many tau proposed.
        agreement: share of the labels that are the true one of the nearest mistake; None where that has no meaning.
    """

    points: NDArray[Any]
    labels: NDArray[Any]
    num_generated: int
    agreement: float | None


def sample(
    perturbation: Perturbation,
    labeler: Labeler,
    mistakes: tuple[NDArray[Any], NDArray[Any]],
    points: NDArray[Any],
    *,
    forbidden: NDArray[Any],
    generator: np.random.Generator,
) -> Sample:
    """What tau proposes near the mistakes, with the labeler's labels.

    Args:
        perturbation: tau.
        labeler: S.
        mistakes: (m, ...) mistaken points and their (m,) true labels.
        points: (n, ...) the training set D.
        forbidden: (e, ...) the development set, of which no point comes back.
        generator: of tau's draws.
    """
    near, true_labels = mistakes
    proposed = np.asarray(perturbation(near, points, generator=generator)) if len(near) else points[:0]
    known = {_key(point) for point in forbidden}
    added = proposed[[_key(point) not in known for point in proposed]] if len(proposed) else proposed
    if not len(added):
        return Sample(points=added, labels=true_labels[:0], num_generated=len(proposed), agreement=None)
    labels = labeler(added)
    agreement = None
    if np.issubdtype(added.dtype, np.number):
        _, nearest = cKDTree(near.reshape(len(near), -1)).query(added.reshape(len(added), -1))
        agreement = float(np.mean(labels == true_labels[nearest]))
    return Sample(points=added, labels=labels, num_generated=len(proposed), agreement=agreement)


def _key(point: NDArray[Any]) -> tuple[Any, ...]:
    return tuple(np.ravel(point).tolist())
