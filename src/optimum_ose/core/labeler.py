"""The examination of the labeler (Timaeus): whether it is accurate enough to label new points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import LabelerError


def check_labeler(predictions: NDArray[Any], labels: NDArray[Any], *, minimum_accuracy: float = 2 / 3) -> float:
    """The labeler's accuracy, if it reaches the minimum and beats always answering the commonest label.

    2/3 is the paper's bound; the second condition is ours, for sets with one frequent class. A faultless labeler
    passes in any case.

    Args:
        predictions: (m,) labels that the labeler gives to rows that it was not trained on.
        labels: (m,) their true labels.
        minimum_accuracy: in [0, 1].

    Raises:
        LabelerError: if the accuracy does not suffice.
    """
    accuracy = float(np.mean(np.asarray(predictions) == np.asarray(labels)))
    _, counts = np.unique(labels, return_counts=True)
    majority = float(counts.max() / counts.sum())
    if accuracy < minimum_accuracy or accuracy <= majority < 1:
        raise LabelerError(
            f"the labeler must be right on at least {minimum_accuracy:.3f} of the development set, and on more than "
            f"the {majority:.3f} that always answering the commonest label would reach",
            f"its accuracy there is {accuracy:.3f}",
            "Train the labeler further on the training set, use a larger one, or do without Agora (agora: null)",
        )
    return accuracy
