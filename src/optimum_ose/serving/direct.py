"""Requests for tasks that answer inputs by themselves: questions, continuations, images, sounds."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, final

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.batching import QueueFullError
from optimum_ose.serving.protocol import RequestError, ServerLimits, bad_request, parse_json
from optimum_ose.serving.served_task import DirectTask
from optimum_ose.wording import listed

MAX_NEW_TOKENS = 256
"""That a client may ask for."""
_MOST = {"top_k": 256, "max_new_tokens": MAX_NEW_TOKENS, "num_beams": 16}
"""Of each parameter."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRequest:
    """A parsed request."""

    inputs: Any
    """As the task answers them."""
    parameters: dict[str, Any]
    """Keyword arguments of `OnnxPipeline`."""


def parse_direct(body: bytes, task: DirectTask, limits: ServerLimits) -> DirectRequest:
    """A body `{"inputs": ..., "parameters": {"top_k": ..., "max_new_tokens": ...}}`, or of tasks of images and sounds
    the content of one file.

    Raises:
        RequestError: 400 on malformed JSON or wrong types, 422 on too many or too long inputs.
    """
    if task.takes_files and body.lstrip()[:1] != b"{":
        return DirectRequest(inputs=body, parameters={})
    content = parse_json(body)
    if not isinstance(content, dict) or "inputs" not in content:
        raise bad_request("the body is no object with the key inputs")
    parameters = content.get("parameters") or {}
    if not isinstance(parameters, dict) or not set(parameters) <= set(_MOST):
        raise bad_request(f"parameters is no object with at most the keys {listed(_MOST)}")
    for name, value in parameters.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise bad_request(f"{name} is no positive whole number")
    for name, most in _MOST.items():
        if parameters.get(name, 0) > most:
            raise _too_much(f"{name} may be at most {most}", "more was asked for", "Ask for fewer")
    inputs = content["inputs"]
    _check_size(inputs, limits, takes_files=task.takes_files)
    try:
        return DirectRequest(inputs=_files(inputs) if task.takes_files else inputs, parameters=parameters)
    except (binascii.Error, ValueError) as error:
        raise bad_request("an input is not the content of a file in base64") from error


def _check_size(inputs: Any, limits: ServerLimits, *, takes_files: bool) -> None:
    if isinstance(inputs, list) and len(inputs) > limits.max_texts:
        raise _too_much(
            f"A request may hold at most {limits.max_texts} inputs", f"it holds {len(inputs)}", "Send several requests"
        )
    longest = 0 if takes_files else max(map(len, _texts(inputs)), default=0)
    if longest > limits.max_text_characters:
        raise _too_much(
            f"A text may have at most {limits.max_text_characters} characters", f"one has {longest}", "Cut the text"
        )


def _texts(inputs: Any) -> Iterator[str]:
    """All texts of an input, however nested."""
    pending = [inputs]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            pending += item.values()


def _files(inputs: Any) -> Any:
    """Texts in base64 as bytes: a text of a client is never a path of this machine."""
    if isinstance(inputs, list):
        return [_file(item) for item in inputs]
    return _file(inputs)


def _file(item: Any) -> bytes:
    if not isinstance(item, str):
        raise ValueError("no text")
    return base64.b64decode(item, validate=True)


def _too_much(expected: str, actual: str, remedy: str) -> RequestError:
    return RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, expected=expected, actual=actual, remedy=remedy)


@final
class DirectQueue:
    """A bounded queue of requests before a number of worker threads. To be used within one event loop."""

    def __init__(self, *, num_workers: int, max_waiting: int, answer_seconds: float) -> None:
        """Start nothing yet.

        Args:
            num_workers: requests computed at once.
            max_waiting: requests that may wait beside them.
            answer_seconds: after which a request is given up.
        """
        self._pool = ThreadPoolExecutor(num_workers, thread_name_prefix="predict")
        self._most = num_workers + max_waiting
        self._answer_seconds = answer_seconds
        self.num_waiting = 0
        """Requests in the queue or at work."""

    async def answer(self, compute: Callable[[], Any]) -> Any:
        """What a function gives, from a thread.

        Raises:
            QueueFullError: if too many requests wait.
            TimeoutError: if it takes too long; one that still waits is not computed.
            InvalidDataError: as the function.
        """
        if self.num_waiting >= self._most:
            raise QueueFullError
        self.num_waiting += 1
        future = asyncio.wrap_future(self._pool.submit(compute))
        future.add_done_callback(self._leave)
        return await asyncio.wait_for(future, self._answer_seconds)

    def _leave(self, future: "asyncio.Future[Any]") -> None:
        self.num_waiting -= 1
        if not future.cancelled():
            future.exception()  # one that nobody waits for any more is not reported twice

    async def close(self) -> None:
        """Wait for what is at work."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)


def as_refusal(error: InvalidDataError) -> RequestError:
    """An input that the task refuses, as an answer."""
    return RequestError(HTTPStatus.BAD_REQUEST, expected=error.expected, actual=error.actual, remedy=error.remedy)
