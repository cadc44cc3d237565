"""Writes token after token: the most probable one each time, or several beginnings at once (beams)."""

from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.generation_settings import GenerationSettings
from optimum_ose.serving.sequence_session import Reading
from optimum_ose.serving.token_choice import Scores, TokenChoice, log_softmax

_WORST = np.float32(-1e9)


def write(reading: Reading, settings: GenerationSettings, *, max_length: int) -> list[list[int]]:
    """The tokens that a model writes of what it has read, without the start token; each row ends with an end token, or
    at the length limit.

    Args:
        reading: nothing is written of it yet.
        settings: how tokens are chosen.
        max_length: tokens at most, the start token among them.

    Raises:
        InvalidDataError: if the model gives values that are no numbers.
    """
    if settings.num_beams == 1:
        return _greedy(reading, settings, max_length)
    return _Beams(reading, settings, max_length).written()


def _greedy(reading: Reading, settings: GenerationSettings, max_length: int) -> list[list[int]]:
    choose = TokenChoice(settings, max_length=max_length)
    written = np.full((len(reading), 1), settings.start_id, dtype=np.int64)
    ends = np.full(len(reading), max_length)
    is_over = np.zeros(len(reading), dtype=bool)
    while written.shape[1] < max_length and not is_over.all():
        scores = choose(written, _checked(reading.write(written[:, -1:])))
        tokens = np.where(is_over, settings.pad_id, scores.argmax(-1))
        written = np.concatenate([written, tokens[:, None]], axis=1)
        ends_now = ~is_over & np.isin(tokens, settings.end_ids)
        ends[ends_now] = written.shape[1]
        is_over |= ends_now
    return [row[1:end].tolist() for row, end in zip(written, ends, strict=True)]


def _checked(logits: NDArray[np.float32]) -> Scores:
    last: Scores = logits[:, -1]
    if not np.isfinite(last).all():
        raise InvalidDataError(
            "The model must be able to compute the input", "it gives values that are no numbers", "Send another one"
        )
    return last


@final
class _Beams:
    """Beams of all rows. Arrays have the shape (rows, beams, ...).

    The search and its end are those of `transformers` 5: the best 2 x beams continuations are looked at, those that end
    compete by their mean log-probability (with a length penalty), the others go on.
    """

    def __init__(self, reading: Reading, settings: GenerationSettings, max_length: int) -> None:
        self._reading, self._settings, self._max_length = reading, settings, max_length
        self._rows, self._size = len(reading), settings.num_beams
        self._choose = TokenChoice(settings, max_length=max_length)
        self._running = np.full((self._rows, self._size, 1), settings.start_id, dtype=np.int64)
        self._scores = np.zeros((self._rows, self._size), dtype=np.float32)
        self._scores[:, 1:] = _WORST  # all beams begin alike: only the first one counts
        self._found: list[list[list[int]]] = [[[] for _ in range(self._size)] for _ in range(self._rows)]
        self._found_scores = np.full((self._rows, self._size), _WORST, dtype=np.float32)
        self._is_found = np.zeros((self._rows, self._size), dtype=bool)
        self._can_improve = np.ones(self._rows, dtype=bool)
        reading.select(np.repeat(np.arange(self._rows), self._size))

    def written(self) -> list[list[int]]:
        """The best sequence of each row."""
        while self._step():
            pass
        return [found[0] for found in self._found]

    def _step(self) -> bool:
        """Write one more token of each beam; whether more are to come."""
        length, width = self._running.shape[2], max(2, 1 + len(self._settings.end_ids)) * self._size
        flat = self._running.reshape(-1, length)
        scores = self._choose(flat, log_softmax(_checked(self._reading.write(flat[:, -1:]))))
        total = scores.reshape(self._rows, self._size, -1) + self._scores[:, :, None]
        best, places = _largest(total.reshape(self._rows, -1), width)
        beams, tokens = places // scores.shape[-1], places % scores.shape[-1]
        continued = np.concatenate([_take(self._running, beams), tokens[:, :, None]], axis=2)
        ends = np.isin(tokens, self._settings.end_ids) | (length + 1 >= self._max_length)
        self._keep_ended(continued, best, ends, length)
        kept_scores, kept = _largest(np.where(ends, best + _WORST, best), self._size)
        self._scores, self._running = kept_scores, _take(continued, kept)
        rows = np.arange(self._rows)[:, None] * self._size + np.take_along_axis(beams, kept, axis=1)
        self._reading.select(rows.reshape(-1))
        self._can_improve &= self._may_improve(length + 1)
        is_full = self._settings.early_stopping is True and bool(self._is_found.all())
        return bool(self._can_improve.any()) and not is_full and not bool(ends.all())

    def _keep_ended(
        self, continued: NDArray[np.int64], best: NDArray[np.float32], ends: NDArray[np.bool_], length: int
    ) -> None:
        """Let continuations that end here compete with those that ended before; only the first ones, one per beam."""
        counts: NDArray[np.bool_] = ends & np.asarray(np.arange(ends.shape[1]) < self._size)
        scores = best / np.float32(length**self._settings.length_penalty)
        if self._settings.early_stopping is True:
            scores = np.where(self._is_found.all(axis=1, keepdims=True), scores + _WORST, scores)
        scores = np.where(self._can_improve[:, None], scores, scores + _WORST)
        scores = np.where(counts, scores, scores + _WORST)
        merged = np.concatenate([self._found_scores, scores], axis=1)
        self._found_scores, places = _largest(merged, self._size)
        self._is_found = np.take_along_axis(np.concatenate([self._is_found, counts], axis=1), places, axis=1)
        for row, chosen in enumerate(places.tolist()):
            found = self._found[row]
            self._found[row] = [
                found[place] if place < self._size else continued[row, place - self._size, 1:].tolist()
                for place in chosen
            ]

    def _may_improve(self, length: int) -> NDArray[np.bool_]:
        """Whether a running beam of a row could still be better than the worst one that has ended."""
        penalty = self._settings.length_penalty
        is_patient = self._settings.early_stopping == "never" and penalty > 0
        best = self._scores[:, 0] / np.float32(((self._max_length if is_patient else length) - 1) ** penalty)
        worst = np.where(self._is_found, self._found_scores.min(axis=1, keepdims=True), _WORST)
        return np.asarray((best[:, None] > worst).any(axis=1))


def _largest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The largest values of each row, in falling order, and their places; of equals the first."""
    places = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(values, places, axis=1), places


def _take(values: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sequences (rows, chosen, tokens) of (rows, beams, tokens)."""
    found: NDArray[np.int64] = np.take_along_axis(values, places[:, :, None], axis=1)
    return found
