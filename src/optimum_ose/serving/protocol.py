"""Requests and answers of the prediction server, in the shape of the Hub's inference API."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, final

from optimum_ose.exceptions import InvalidDataError, OSEError
from optimum_ose.serving.inputs import text_pairs


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What one server accepts."""

    max_body_bytes: int = 2**20
    """Size of a request body."""
    max_texts: int = 256
    """Texts or pairs in a request."""
    max_text_characters: int = 100_000
    """Length of a text."""
    max_connections: int = 64
    """Connections served at once; further ones wait in the kernel's queue."""
    max_parallel_predictions: int = 2
    """Predictions computed at once; further ones wait."""
    request_seconds: float = 10.0
    """Time in which a client must have sent its whole request, or taken its answer."""


@final
class RequestError(OSEError, ValueError):
    """A request that is refused with an HTTP status."""

    def __init__(self, status: HTTPStatus, *, expected: str, actual: str, remedy: str) -> None:
        super().__init__(expected, actual, remedy)
        self.status = status


def parse_request(body: bytes, limits: ServerLimits) -> tuple[list[Any], int | None]:
    """The inputs as a list, and `top_k`, of a body `{"inputs": ..., "parameters": {"top_k": ...}}`.

    Raises:
        RequestError: 400 on malformed JSON or wrong types, 422 on too many or too long texts.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _bad_request(f"the body is not JSON ({type(error).__name__})") from error
    if not isinstance(content, dict) or "inputs" not in content:
        raise _bad_request("the body is no object with the key inputs")
    parameters = content.get("parameters") or {}
    if not isinstance(parameters, dict) or not set(parameters) <= {"top_k"}:
        raise _bad_request("parameters is no object with at most the key top_k")
    top_k = parameters.get("top_k")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise _bad_request("top_k is no positive whole number")
    inputs = content["inputs"] if isinstance(content["inputs"], list) else [content["inputs"]]
    _check_size(inputs, limits)
    return inputs, top_k


def error_body(error: OSEError) -> dict[str, str]:
    """The JSON form of an error: the whole message, and its three parts."""
    return {"error": str(error), "expected": error.expected, "actual": error.actual, "remedy": error.remedy}


def _check_size(inputs: list[Any], limits: ServerLimits) -> None:
    if len(inputs) > limits.max_texts:
        raise RequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            expected=f"A request may hold at most {limits.max_texts} texts",
            actual=f"it holds {len(inputs)}",
            remedy="Send several requests",
        )
    try:
        longest = max((len(text) for pair in text_pairs(inputs) for text in pair if text is not None), default=0)
    except InvalidDataError as error:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, expected=error.expected, actual=error.actual, remedy=error.remedy
        ) from error
    if longest > limits.max_text_characters:
        raise RequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            expected=f"A text may have at most {limits.max_text_characters} characters",
            actual=f"one has {longest}",
            remedy="Cut the text; the model reads its beginning only",
        )


def _bad_request(actual: str) -> RequestError:
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        expected="A request body must be JSON with inputs and perhaps parameters",
        actual=actual,
        remedy='Send {"inputs": "a text", "parameters": {"top_k": 1}}',
    )
