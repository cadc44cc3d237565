"""The classes of a model, and their scores in one row of logits."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
"""What a head can answer, by `problem_type` in its config."""


@final
class Labels:
    """The classes of a model."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._names = config.get("id2label") or {}
        self._problem = config.get("problem_type")

    def name(self, index: int) -> str:
        """The name of a class."""
        return str(self._names.get(str(index), f"LABEL_{index}"))

    def scores(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, or for a regression the values, of one row of logits."""
        if self._problem == "regression":
            return logits
        if self._problem == "multi_label_classification" or len(logits) == 1:
            return np.asarray(1.0 / (1.0 + np.exp(-logits)))
        return softmax(logits)

    def ranked(self, logits: NDArray[np.float32], top_k: int | None, *, is_raw: bool = False) -> list[dict[str, Any]]:
        """The `top_k` most probable labels of one row of logits with their scores, or the logits; None: all."""
        scores = logits if is_raw else self.scores(logits)
        labeled = [{"label": self.name(index), "score": score.item()} for index, score in enumerate(scores)]
        return sorted(labeled, key=lambda item: item["score"], reverse=True)[:top_k]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
