"""Answers to a question as spans of a context, which may be longer than the model reads at once."""

from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.inputs import question_contexts
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import DirectTask, Options, ServedTask
from optimum_ose.serving.tasks.parts.labels import softmax

MAX_ANSWER_TOKENS = 15
_MAX_WINDOW = 384
_MAX_OVERLAP = 128
"""Tokens of a window and of the overlap of two. Source: transformers' question-answering pipeline (4.57)."""
_MIN_ROOM = 4
"""Tokens of a context that a window must hold."""
_SPARE = 10
"""Spans beyond twice those asked for, since several may become one answer."""


@final
class SpanFinder:
    """What reads a context in windows and finds the most probable spans."""

    def __init__(self, tokenizer: Tokenizer, *, max_length: int | None, first_id: int | None) -> None:
        """Keep a tokenizer of its own.

        Args:
            tokenizer: of the model; it is copied.
            max_length: tokens that the model reads at once.
            first_id: of the token before every text, which stands for no answer.
        """
        window = min(max_length or _MAX_WINDOW, _MAX_WINDOW)
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._lock = Lock()
        self._window = window
        self._room = window - tokenizer.num_special_tokens_to_add(True)
        self._first_id = first_id

    def windows(self, question: str, context: str) -> list[Encoding]:
        """The question with each part of the context.

        Raises:
            InvalidDataError: if the question leaves no room for a context.
        """
        with self._lock:  # the tokenizer is set up for each question
            self._tokenizer.no_truncation()
            room = self._room - len(self._tokenizer.encode(question, add_special_tokens=False))
            self._check_room(room)
            stride = min(self._window // 2, _MAX_OVERLAP)
            stride = stride if stride < room else room // 2
            self._tokenizer.enable_truncation(self._window, stride=stride, strategy="only_second")
            encoding = self._tokenizer.encode(question, context)
        return [encoding, *encoding.overflowing]

    def _check_room(self, room: int) -> None:
        if room < _MIN_ROOM:
            raise InvalidDataError(
                f"A question must leave room for a context in the {self._window} tokens that the model reads at once",
                f"one leaves {max(room, 0)} tokens",
                "Ask a shorter question",
            )

    def answers(
        self, context: str, windows: Sequence[Encoding], rows: Sequence[NDArray[np.float32]], top_k: int
    ) -> list[dict[str, Any]]:
        """The most probable spans with their places in the context, as transformers' pipeline gives them.

        Args:
            context: as it was encoded.
            windows: what `windows` gave.
            rows: start and end logits of each, (tokens, 2).
            top_k: how many answers.

        Returns:
            `score`, `start`, `end` and `answer` of each. Spans that read alike in any case count as one.
        """
        found: dict[str, dict[str, Any]] = {}
        for window, logits in zip(windows, rows, strict=True):
            for first, last, score in self._spans(window, logits, 2 * top_k + _SPARE):
                start, end = _characters(window, first, last)
                text = context[start:end]
                answer = found.setdefault(text.lower(), {"score": 0.0, "start": start, "end": end, "answer": text})
                answer["score"] += score
        return sorted(found.values(), key=lambda answer: answer["score"], reverse=True)[:top_k]

    def _spans(self, window: Encoding, logits: NDArray[np.float32], count: int) -> list[tuple[int, int, float]]:
        """First and last token of the best spans within the context, with their scores."""
        ids = np.array(window.ids)
        allowed = np.array([place == 1 for place in window.sequence_ids]) | (ids == self._first_id)
        start, end = softmax(np.where(allowed[:, None], logits, -10_000.0).T.astype(np.float32))
        start[0] = end[0] = 0.0
        scores = np.tril(np.triu(np.outer(start, end)), MAX_ANSWER_TOKENS - 1)
        best = np.argsort(-scores, axis=None, kind="stable")[:count]
        best = best[: max(1, int((scores.ravel()[best] > 0).sum()))]  # a span of probability 0 is none
        firsts, lasts = np.unravel_index(best, scores.shape)
        return [
            (int(first), int(last), float(scores[first, last]))
            for first, last in zip(firsts, lasts, strict=True)
            if allowed[first] and allowed[last]
        ]


def _characters(window: Encoding, first: int, last: int) -> tuple[int, int]:
    """Where a span starts and ends in the context: at the edges of its words, where the tokenizer knows words."""
    words = window.token_to_word(first), window.token_to_word(last)
    if words[0] is not None and words[1] is not None:
        start, end = window.word_to_chars(words[0], 1), window.word_to_chars(words[1], 1)
        if start is not None and end is not None:
            return start[0], end[1]
    return window.offsets[first][0], window.offsets[last][1]


def _answer(model: Model, finder: SpanFinder, inputs: object, options: Options) -> Any:
    pairs = question_contexts(inputs)
    windows = [finder.windows(question, context) for question, context in pairs]
    flat = [item for items in windows for item in items]
    rows = iter(model.runner.rows(flat, batch_size=options.batch_size))
    answers: list[Any] = []
    for (_, context), items in zip(pairs, windows, strict=True):
        found = finder.answers(context, items, [next(rows) for _ in items], options.top_k or 1)
        answers.append(found[0] if len(found) == 1 else found)
    return answers[0] if len(answers) == 1 else answers


def _load(model: Model) -> DirectTask:
    finder = SpanFinder(model.runner.tokenizer, max_length=model.max_length, first_id=model.token_id("cls_token"))
    trial = {"question": "Who?", "context": "Nobody."}
    return DirectTask(answer=partial(_answer, model, finder), refusal="takes several", trial=trial)


SERVED = ServedTask(
    load=_load,
    heads=("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
    is_on_cards=True,
    is_in_transformers=False,
    example={"question": "Who wrote it?", "context": "It was written by Ada."},
)
"""Spans of contexts."""
