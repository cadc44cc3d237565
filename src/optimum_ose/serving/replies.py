"""Answers as they are sent: JSON, bytes, and events one after the other."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar, final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from optimum_ose.serving.protocol import RequestError, refusal_body

Item = TypeVar("Item")
JSON = "application/json"
ENCODER = json.JSONEncoder(allow_nan=False)
"""Refuses what is no JSON."""
_CLOSING = {HTTPStatus.LENGTH_REQUIRED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT}
"""Refusals after which a rest of the body may still be on its way."""
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def json_reply(content: Any, *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer in JSON."""
    return bytes_reply(ENCODER.encode(content).encode(), JSON, status=status)


def bytes_reply(
    body: bytes, content_type: str, *, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] = _NO_HEADERS
) -> Response:
    """An answer of any type."""
    return Response(body, status, headers={"content-type": content_type, **headers})


def refusal_reply(error: RequestError, path: str) -> Response:
    """A refusal, in the form that clients of the path read."""
    response = json_reply(refusal_body(error, path), status=error.status)
    if error.status in _CLOSING:
        response.headers["connection"] = "close"
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["retry-after"] = "1"
    return response


def event(content: Any) -> bytes:
    """One of the server-sent events of an answer."""
    return b"data: " + ENCODER.encode(content).encode() + b"\n\n"


async def streamed(
    items: AsyncGenerator[Item, None], events: Callable[[Item], Iterator[bytes]], *, path: str, last: bytes = b""
) -> Response:
    """An answer in server-sent events. What is refused before the first item has the status of the refusal; after it,
    the refusal is the last event.

    Args:
        items: what is told.
        events: those of an item.
        path: of the request, which tells the form of refusals.
        last: an event after all items.

    Raises:
        RequestError: as the first item.
    """
    first = await anext(items)

    async def all_events() -> AsyncGenerator[bytes, None]:
        try:
            for part in events(first):
                yield part
            async for item in items:
                for part in events(item):
                    yield part
            if last:
                yield last
        except RequestError as error:
            yield event(refusal_body(error, path))
        finally:
            await items.aclose()

    return EventReply(all_events())


@final
class EventReply(StreamingResponse):
    """Server-sent events. A client that goes away ends what makes them."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, headers={"cache-control": "no-store", "content-type": "text/event-stream"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them until the last one, or until the client is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()
