"""Requests and answers of the prediction server, in the shape of the Hub's inference API."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any, final

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, OSEError
from optimum_ose.serving.inputs import AGGREGATIONS, Aggregation, TextPair, text_pairs
from optimum_ose.wording import shown

_MOST = 2**40


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
    max_answer_values: int = 2**20
    """Numbers in the answer of a feature extraction."""
    max_pending_bytes: int = 64 * 2**20
    """Bodies in memory at once; a request beyond them is refused with 503."""
    max_queue_texts: int = 1024
    """Texts that wait for a worker; a request beyond them is refused with 503."""
    max_batch_texts: int = 32
    """Texts in one run of the model."""
    max_batch_tokens: int = 4096
    """Tokens in one run of the model, padding included; a longer text runs alone."""
    max_connections: int = 512
    """Connections served at once; a request on a further one is refused with 503."""
    max_head_bytes: int = 2**15
    """Size of a request's first line and headers."""
    request_seconds: float = 10.0
    """Time in which a client must have sent the head, then the body of a request, and then taken its answer."""
    answer_seconds: float = 30.0
    """Time in which an answer must be computed, or the request is given up with 504."""
    idle_seconds: int = 30
    """Time for which a connection may rest between requests."""

    def __post_init__(self) -> None:
        kinds = {field.name: type(field.default) for field in fields(self)}
        wrong = [name for name, kind in kinds.items() if not _is_limit(getattr(self, name), kind)]
        if wrong:
            raise InvalidConfigError(
                f"The limits of a server must be positive numbers of at most {_MOST:,}, whole unless they are seconds",
                ", ".join(f"{name} is {shown(getattr(self, name), limit=20)}" for name in wrong),
                "Give others",
            )


def _is_limit(value: object, kind: type) -> bool:
    is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= _MOST  # type: ignore[operator]


@final
class RequestError(OSEError, ValueError):
    """A request that is refused with an HTTP status."""

    def __init__(self, status: HTTPStatus, *, expected: str, actual: str, remedy: str) -> None:
        super().__init__(expected, actual, remedy)
        self.status = status


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """A parsed request for predictions."""

    inputs: list[Any]
    """As they came."""
    parts: list[list[TextPair]]
    """The texts of each input."""
    top_k: int | None
    """Labels or words per text; None: as many as the task gives by itself."""
    aggregation_strategy: Aggregation
    """How tokens are joined to entities."""

    @property
    def pairs(self) -> list[TextPair]:
        """The texts of all inputs."""
        return [pair for of_input in self.parts for pair in of_input]


Parts = Callable[[list[Any]], list[list[TextPair]]]
"""Gives the texts of each input."""


def _single(inputs: list[Any]) -> list[list[TextPair]]:
    return [[pair] for pair in text_pairs(inputs)]


def parse_request(body: bytes, limits: ServerLimits, parts_of: Parts = _single) -> PredictRequest:
    """A body `{"inputs": ..., "parameters": {"top_k": ..., "aggregation_strategy": ...}}`.

    Raises:
        RequestError: 400 on malformed JSON or wrong types, 422 on too many or too long texts.
    """
    content = parse_json(body)
    if not isinstance(content, dict) or "inputs" not in content:
        raise bad_request("the body is no object with the key inputs")
    parameters = {} if content.get("parameters") is None else content["parameters"]
    if not isinstance(parameters, dict) or not set(parameters) <= {"top_k", "aggregation_strategy"}:
        raise bad_request("parameters is no object with at most the keys top_k and aggregation_strategy")
    top_k = parameters.get("top_k")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise bad_request("top_k is no positive whole number")
    aggregation = parameters.get("aggregation_strategy", "simple")
    if aggregation not in AGGREGATIONS:
        raise bad_request(f"aggregation_strategy is none of {', '.join(AGGREGATIONS)}")
    inputs = content["inputs"] if isinstance(content["inputs"], list) else [content["inputs"]]
    parts = checked_parts(inputs, limits, parts_of)
    return PredictRequest(inputs=inputs, parts=parts, top_k=top_k, aggregation_strategy=aggregation)


def parse_json(body: bytes) -> Any:
    """Any JSON value.

    Raises:
        RequestError: 400 if it is none, nested too deeply, or an object has a name twice.
    """
    try:
        return json.loads(body, object_pairs_hook=_object)
    except RequestError:
        raise
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body is not JSON ({type(error).__name__})") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise bad_request("an object of the body has a name twice")
    return found


def checked_pairs(inputs: list[Any], limits: ServerLimits) -> list[TextPair]:
    """The texts of a request whose inputs hold one each; as `checked_parts`."""
    return [pair for (pair,) in checked_parts(inputs, limits, _single)]


def checked_parts(inputs: list[Any], limits: ServerLimits, parts_of: Parts) -> list[list[TextPair]]:
    """The texts of each input of a request.

    Raises:
        RequestError: 400 if one is no text, 422 if there are too many or one is too long.
    """
    _check_number(len(inputs), limits)
    try:
        parts = parts_of(inputs)
    except InvalidDataError as error:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, expected=error.expected, actual=error.actual, remedy=error.remedy
        ) from error
    pairs = [pair for of_input in parts for pair in of_input]
    _check_number(len(pairs), limits)
    longest = max((len(text) for pair in pairs for text in pair if text is not None), default=0)
    if longest > limits.max_text_characters:
        raise RequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            expected=f"A text may have at most {limits.max_text_characters} characters",
            actual=f"one has {longest}",
            remedy="Cut the text; the model reads its beginning only",
        )
    return parts


def _check_number(number: int, limits: ServerLimits) -> None:
    if number > limits.max_texts:
        raise RequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            expected=f"A request may hold at most {limits.max_texts} texts",
            actual=f"it holds {number}",
            remedy="Send several requests",
        )


def error_body(error: OSEError) -> dict[str, str]:
    """The JSON form of an error: the whole message, and its three parts."""
    return {"error": str(error), "expected": error.expected, "actual": error.actual, "remedy": error.remedy}


def bad_request(actual: str) -> RequestError:
    """A body that is none of ours."""
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        expected="A request body must be JSON with inputs and perhaps parameters",
        actual=actual,
        remedy='Send {"inputs": "a text", "parameters": {"top_k": 1}}',
    )
