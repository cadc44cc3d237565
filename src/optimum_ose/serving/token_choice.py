"""Which tokens may come next: what a model's settings forbid or force, as functions of arrays."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.generation_settings import GenerationSettings

_NEVER = -np.inf
Scores = NDArray[np.float32]


@final
class TokenChoice:
    """Changes the scores of next tokens as the settings ask.

    Args:
        settings: of the model.
        max_length: tokens at most, the start token among them.
    """

    def __init__(self, settings: GenerationSettings, *, max_length: int) -> None:
        self._settings, self._max_length = settings, max_length
        self._begin = 1 if settings.first_id is None else 2

    def __call__(self, written: NDArray[np.int64], scores: Scores) -> Scores:
        """The scores (rows, vocabulary) of the tokens after what was written, int64 (rows, tokens); in the order in
        which Transformers applies its own.
        """
        settings, length = self._settings, written.shape[1]
        scores = scores.copy()
        if settings.repetition_penalty != 1.0:
            seen = np.take_along_axis(scores, written, axis=1)
            penalty = np.float32(settings.repetition_penalty)
            np.put_along_axis(scores, written, np.where(seen < 0, seen * penalty, seen / penalty), axis=1)
        if settings.no_repeat_ngram_size:
            for row, tokens in enumerate(written.tolist()):
                scores[row, _repeating(tokens, settings.no_repeat_ngram_size)] = _NEVER
        if length < settings.min_length or length - 1 < settings.min_new_tokens:
            scores[:, list(settings.end_ids)] = _NEVER
        if length == 1 and settings.first_id is not None:
            scores = _only(scores, settings.first_id)
        if length == self._max_length - 1 and settings.last_id is not None:
            scores = _only(scores, settings.last_id)
        scores[:, list(settings.banned)] = _NEVER
        if length == self._begin:
            scores[:, list(settings.banned_first)] = _NEVER
        return scores


def log_softmax(logits: Scores) -> Scores:
    """Of each row."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def _only(scores: Scores, token: int) -> Scores:
    found = np.full_like(scores, _NEVER)
    found[:, token] = 0
    return found


def _repeating(tokens: list[int], size: int) -> list[int]:
    """Tokens that would repeat a run of so many."""
    start = tuple(tokens[len(tokens) - size + 1 :]) if size > 1 else ()
    if len(tokens) + 1 < size:
        return []
    found: list[Any] = [
        tokens[place + size - 1]
        for place in range(len(tokens) - size + 1)
        if tuple(tokens[place : place + size - 1]) == start
    ]
    return found
