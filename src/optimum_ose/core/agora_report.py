"""What Agora reports: a record per round, and the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

Theta = Mapping[str, Any]
"""One hyperparameter set."""
_Model = TypeVar("_Model")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgoraRound:
    """What one round did.

    Args:
        theta: the hyperparameter sets that were trained.
        accuracies: development accuracy of each.
        num_points: rows of D that they were trained on.
        num_mistakes: development mistakes of the best of them.
        num_generated: new points that tau proposed.
        num_added: those appended to D: all but development points.
        label_agreement: share of the new points whose label is the true one of the nearest mistake; None without any.
        test_accuracy: of the best of them, on points that steer nothing; None if there are none.
        betti: what `betti` said of the D that they were trained on; None if it was not asked.
        pruned: the sets that left Theta after the round; none in a replayed one.
    """

    theta: tuple[Theta, ...]
    accuracies: tuple[float, ...]
    num_points: int
    num_mistakes: int
    num_generated: int
    num_added: int
    label_agreement: float | None
    test_accuracy: float | None
    betti: tuple[int, ...] | None
    pruned: tuple[Theta, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgoraResult(Generic[_Model]):
    """What Agora ends with.

    Args:
        model: the best model seen.
        theta: the hyperparameter set that it was trained with.
        accuracy: its development accuracy. Optimistic: these points steered the data; report on a third set.
        labeler_accuracy: development accuracy of the labeler.
        rounds: the report, one record per round.
        test_accuracy: of the model, on points that steered nothing; None if there are none.
        points: (n, ...) the final D: the given points, then the added ones.
        labels: (n,) their labels.
    """

    model: _Model
    theta: Theta
    accuracy: float
    labeler_accuracy: float
    test_accuracy: float | None
    rounds: tuple[AgoraRound, ...]
    points: NDArray[Any]
    labels: NDArray[Any]
