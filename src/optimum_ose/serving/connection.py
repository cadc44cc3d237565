"""Uvicorn's HTTP connection, with bounds against clients that are slow, idle or endless."""

import asyncio
import json
import logging
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from optimum_ose.serving.protocol import RequestError, ServerLimits, error_body

_LOGGER = logging.getLogger(__name__)
_MAX_PIPELINED = 16


def bounded_protocol(limits: ServerLimits) -> type[HttpToolsProtocol]:
    """The class of connections that uvicorn is to make."""

    class _Protocol(BoundedProtocol):
        LIMITS = limits

    return _Protocol


class _JoiningTransport:
    """A transport that sends together what is written in one turn of the event loop: uvicorn writes the head and the
    body of an answer apart, and each would be a system call here and a wake-up of the client.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send this at the end of the turn."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():  # lost meanwhile: uvloop would refuse to write
            self._transport.write(b"".join(held))


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose request heads are limited in size, and heads and answers in time.

    Uvicorn limits neither: it times connections between requests only. Bodies are the app's affair.
    """

    LIMITS: ServerLimits

    _head_deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: Any) -> None:
        """Await the head of the first request."""
        super().connection_made(_JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._cancel_head_deadline()
        self._cancel_write_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head has grown too large."""
        if self._in_head:
            if self._head_deadline is None:
                self._await_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.LIMITS.max_head_bytes:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"A request's headers may have at most {self.LIMITS.max_head_bytes} bytes",
                "they have more",
            )

    def on_message_begin(self) -> None:
        """A further request; uvicorn queues those that come before the answer, as many as come."""
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise ValueError("too many requests before the first answer")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is here; the app reads the body."""
        self._in_head = False
        self._cancel_head_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next byte belongs to another head, which its own time begins with."""
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0

    def on_response_complete(self) -> None:
        """A connection that closes must have given its last bytes away in time, too."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_reader()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, whether or not the client took the last answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        """The client does not take its answer: drop the connection if that lasts."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The client takes its answer."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._cancel_write_deadline()

    def send_400_response(self, msg: str) -> None:
        """What the parser refuses, as JSON."""
        self._refuse(HTTPStatus.BAD_REQUEST, "A request must be in HTTP/1.1", msg.rstrip(".").lower())

    def _await_head(self) -> None:
        self._head_deadline = self.loop.call_later(self.LIMITS.request_seconds, self._on_head_deadline)

    def _await_reader(self) -> None:
        if self._write_deadline is None:
            self._write_deadline = self.loop.call_later(self.LIMITS.request_seconds, self._drop)

    def _drop(self) -> None:
        _LOGGER.info("a client did not take its answer")
        self.transport.abort()

    def _cancel_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    def _cancel_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _on_head_deadline(self) -> None:
        if self._is_answering():
            self._await_head()  # the head belongs to a further request, sent before this answer
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"A request must arrive within {self.LIMITS.request_seconds:g} seconds",
            "it did not",
        )

    def _refuse(self, status: HTTPStatus, expected: str, actual: str) -> None:
        """Answer without the app, and close. A client that has not sent a byte gets no answer."""
        if self.transport.is_closing():
            return
        if self._head_bytes and not self._is_answering():
            error = RequestError(status, expected=expected, actual=actual, remedy="See the server's documentation")
            body = json.dumps(error_body(error)).encode()
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
            self.transport.write(head.encode() + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
