"""Agora's outer loop: rounds of training, sampling near mistakes, labeling and pruning of Theta, for any learner."""

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.agora_report import AgoraResult, AgoraRound, Theta
from optimum_ose.core.agora_sampling import Labeler, Perturbation, sample
from optimum_ose.core.labeler import check_labeler
from optimum_ose.core.pruning import Pruning, canonical_order, prune_hyperparameters
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UntouchedSplitWarning
from optimum_ose.guards import require_callable, require_kind, require_methods

_Model = TypeVar("_Model")
_Split = tuple[NDArray[Any], NDArray[Any]]  # points and labels


class Learner(Protocol[_Model]):
    """Trains the target f and lets it answer."""

    def train(self, points: NDArray[Any], labels: NDArray[Any], *, theta: Theta) -> _Model:
        """A model trained on (n, ...) points and (n,) labels, always from the same initial weights."""

    def predict(self, model: _Model, points: NDArray[Any]) -> NDArray[Any]:
        """(n,) labels that the model gives to (n, ...) points."""


@final
class EstimatorLearner:
    """A learner out of a scikit-learn estimator (or anything with `set_params`, `fit` and `predict`).

    Args:
        estimator: the unfitted estimator; each training fits a deep copy with theta as its parameters.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def train(self, points: NDArray[Any], labels: NDArray[Any], *, theta: Theta) -> Any:
        """A fitted copy of the estimator."""
        return copy.deepcopy(self._estimator).set_params(**theta).fit(points, labels)

    def predict(self, model: Any, points: NDArray[Any]) -> NDArray[Any]:
        """(n,) labels that the fitted copy gives."""
        return np.asarray(model.predict(points))


def run_agora(
    learner: Learner[_Model],
    labeler: Labeler,
    *,
    points: NDArray[Any],
    labels: NDArray[Any],
    dev_points: NDArray[Any],
    dev_labels: NDArray[Any],
    perturbation: Perturbation,
    hyperparameters: Sequence[Theta] = ({},),
    replay: int = 0,
    pruning: Pruning = "common-subsequence",
    minimum_labeler_accuracy: float = 2 / 3,
    test_points: NDArray[Any] | None = None,
    test_labels: NDArray[Any] | None = None,
    betti: Callable[[NDArray[Any], NDArray[Any]], tuple[int, ...]] | None = None,
    seed: int = 0,
    on_round: Callable[[AgoraRound], None] | None = None,
) -> AgoraResult[_Model]:
    """Train with every theta, sample new points near the best model's mistakes, label them, prune Theta; repeat.

    Ends when Theta is empty or the best model makes no mistake. At most (1 + replay) |Theta| rounds; the number of
    trainings is between |Theta| and (1 + replay) |Theta| (|Theta| + 1) / 2. The paper's bound on the gain over
    enumerating Theta is 1 <= r <= 2 (1 - 2^-|Theta|).

    Args:
        learner: trains and predicts.
        labeler: labels new points. It must not have been trained on the development set.
        points: (n, ...) training set D.
        labels: (n,) its labels.
        dev_points: (m, ...) development set E, which stands for the task. Its points never enter D.
        dev_labels: (m,) its labels.
        perturbation: tau, for instance `VectorPerturbation()`.
        hyperparameters: Theta.
        replay: how often a round is repeated, with the same Theta and the grown D, before Theta is pruned.
        pruning: which sets leave Theta beside the worst.
        minimum_labeler_accuracy: least development accuracy of the labeler.
        test_points: (k, ...) a third set, which steers nothing, for the report; without one, a warning is given.
        test_labels: (k,) its labels.
        betti: called with points and labels of D before each round's trainings, for the report; for instance
            `lambda points, labels: betti_numbers(points[labels == 1])`.
        seed: seed of tau's draws. Seeds of trainings belong to the learner, or into Theta.
        on_round: called with each round's record.

    Returns:
        The best model seen (the first, among equals) and the report.

    Raises:
        InvalidConfigError: if Theta is empty or `replay` is negative.
        InvalidDataError: if points and labels differ in number, or a set is empty.
        LabelerError: if the labeler is not accurate enough.

    Source: de Wynter, arXiv:2010.07990.
    """
    require_methods(learner, ("train", "predict"), "learner")
    require_callable(labeler, "labeler")
    require_callable(perturbation, "perturbation")
    _check(hyperparameters, replay)
    development, test = (dev_points, dev_labels), _checked_test(test_points, test_labels)
    _check_sizes("training", points, labels)
    _check_sizes("development", *development)
    labeler_accuracy = check_labeler(labeler(dev_points), dev_labels, minimum_accuracy=minimum_labeler_accuracy)
    theta, best, rounds = canonical_order(hyperparameters), None, list[AgoraRound]()
    while True:
        leader, accuracies = _train_all(learner, theta, (points, labels), development)
        best = leader if best is None or leader.accuracy > best.accuracy else best
        mistakes = dev_points[leader.mistakes], dev_labels[leader.mistakes]
        generator = np.random.default_rng([seed, len(rounds)])
        found = sample(perturbation, labeler, mistakes, points, forbidden=dev_points, generator=generator)
        is_replayed = (len(rounds) + 1) % (1 + replay) != 0
        kept = theta if is_replayed else canonical_order(prune_hyperparameters(theta, accuracies, variant=pruning))
        rounds.append(
            AgoraRound(
                theta=theta,
                accuracies=accuracies,
                num_points=len(points),
                num_mistakes=int(leader.mistakes.sum()),
                num_generated=found.num_generated,
                num_added=len(found.points),
                label_agreement=found.agreement,
                test_accuracy=_accuracy(learner, leader.model, test),
                betti=None if betti is None else betti(points, labels),
                pruned=tuple(item for item in theta if item not in kept),
            )
        )
        if on_round is not None:
            on_round(rounds[-1])
        if len(found.points):
            points, labels = np.concatenate([points, found.points]), np.concatenate([labels, found.labels])
        if not kept or not best.mistakes.any():
            return AgoraResult(
                model=best.model,
                theta=best.theta,
                accuracy=best.accuracy,
                labeler_accuracy=labeler_accuracy,
                test_accuracy=_accuracy(learner, best.model, test),
                rounds=tuple(rounds),
                points=points,
                labels=labels,
            )
        theta = kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained(Generic[_Model]):
    model: _Model
    theta: Theta
    accuracy: float
    mistakes: NDArray[np.bool_]


def _train_all(
    learner: Learner[_Model], theta: Sequence[Theta], training: _Split, development: _Split
) -> tuple[_Trained[_Model], tuple[float, ...]]:
    """The best model over Theta, the first among equals, and every accuracy. No more than two models live at once."""
    leader = _train(learner, theta[0], training, development)
    accuracies = [leader.accuracy]
    for hyperparameters in theta[1:]:
        trained = _train(learner, hyperparameters, training, development)
        accuracies.append(trained.accuracy)
        leader = trained if trained.accuracy > leader.accuracy else leader
    return leader, tuple(accuracies)


def _train(learner: Learner[_Model], theta: Theta, training: _Split, development: _Split) -> _Trained[_Model]:
    model = learner.train(*training, theta=theta)
    mistakes = np.asarray(learner.predict(model, development[0]) != development[1])
    return _Trained(model=model, theta=theta, accuracy=float(np.mean(~mistakes)), mistakes=mistakes)


def _accuracy(learner: Learner[_Model], model: _Model, split: _Split | None) -> float | None:
    return None if split is None else float(np.mean(learner.predict(model, split[0]) == split[1]))


def _check(hyperparameters: Sequence[Theta], replay: int) -> None:
    if not hyperparameters or replay < 0:
        raise InvalidConfigError(
            "Agora needs at least one hyperparameter set and replay >= 0",
            f"got {len(hyperparameters)} sets and replay={replay}",
            "Pass hyperparameters=({},) to train with the learner's own settings",
        )


def _checked_test(points: NDArray[Any] | None, labels: NDArray[Any] | None) -> _Split | None:
    if points is None or labels is None:
        warnings.warn(
            "Agora steers by its development set, whose accuracy is optimistic from then on: report on a third, "
            "untouched set; none was given (test_points, test_labels)",
            UntouchedSplitWarning,
            stacklevel=3,
        )
        return None
    _check_sizes("test", points, labels)
    return points, labels


def _check_sizes(name: str, points: NDArray[Any], labels: NDArray[Any]) -> None:
    for what, given in (("points", points), ("labels", labels)):
        require_kind(given, np.ndarray, f"the {what} of the {name} set", "Pass numpy.asarray(...)")
    if not len(points) or len(points) != len(labels):
        raise InvalidDataError(
            f"the {name} set needs one label per point, and at least one point",
            f"got {len(points)} points and {len(labels)} labels",
            "Check that points and labels come from the same split",
        )
