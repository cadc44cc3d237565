"""What every request has in common: the limits of a server, JSON, and refusals."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any, final

from optimum_ose.exceptions import InvalidConfigError, OSEError
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


def bad_request(actual: str) -> RequestError:
    """A body that is none of ours."""
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        expected="A request body must be JSON with inputs and perhaps parameters",
        actual=actual,
        remedy='Send {"inputs": "a text", "parameters": {"top_k": 1}}',
    )


def too_much(expected: str, actual: str, remedy: str) -> RequestError:
    """A body that asks for more than the server gives."""
    return RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, expected=expected, actual=actual, remedy=remedy)


def refused_input(error: OSEError) -> RequestError:
    """An input that the task refuses, as an answer."""
    return RequestError(HTTPStatus.BAD_REQUEST, expected=error.expected, actual=error.actual, remedy=error.remedy)


def parse_json(body: bytes, refuse: Callable[[str], RequestError] = bad_request) -> Any:
    """Any JSON value.

    Args:
        body: in UTF-8.
        refuse: the refusal, given what is wrong with the body.

    Raises:
        RequestError: 400 if it is none, nested too deeply, or an object has a name twice.
    """

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise refuse("an object of the body has a name twice")
        return found

    try:
        return json.loads(body, object_pairs_hook=checked)
    except RequestError:
        raise
    except (ValueError, RecursionError) as error:
        raise refuse(f"the body is not JSON ({type(error).__name__})") from error


_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
"""Of refusals, in OpenAI's words."""
_OPENAI = "/v1/"


def error_body(error: OSEError) -> dict[str, str]:
    """The JSON form of an error: the whole message, and its three parts."""
    return {"error": str(error), "expected": error.expected, "actual": error.actual, "remedy": error.remedy}


def refusal_body(error: RequestError, path: str) -> dict[str, Any]:
    """The JSON form of a refusal: of OpenAI's paths as its clients read it."""
    if not path.startswith(_OPENAI):
        return error_body(error)
    is_ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = _KINDS.get(error.status, "server_error" if is_ours else "invalid_request_error")
    return {"error": {"message": str(error), "type": kind, "param": None, "code": None}}
