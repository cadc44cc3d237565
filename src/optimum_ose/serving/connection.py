"""Uvicorn's HTTP connection, with bounds against clients that are slow, idle, endless or malformed."""

import asyncio
import json
import logging
import re
import time
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from optimum_ose.serving.crowd import ALWAYS_SERVED, BUSY, Crowd
from optimum_ose.serving.joining import JoiningTransport
from optimum_ose.serving.protocol import RequestError, ServerLimits, error_body

_LOGGER = logging.getLogger(__name__)
_MAX_PIPELINED = 16
_ALWAYS_SERVED = frozenset(path.encode() for path in ALWAYS_SERVED)
_HEAD_END = re.compile(rb"\n\r?\n")
_UPGRADE = re.compile(rb"(?im)^upgrade:[^\n]*\n")
_LONGEST_END = 3
"""Bytes of the longest end of a head."""


def bounded_protocol(limits: ServerLimits) -> type[HttpToolsProtocol]:
    """The class of connections that uvicorn is to make."""

    class _Protocol(BoundedProtocol):
        LIMITS, CROWD = limits, Crowd(limits.max_connections, now=time.monotonic)

    return _Protocol


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose request heads are limited in size, and heads and answers in time.

    Uvicorn limits neither: it times connections between requests only. Bodies are the app's affair. What comes is given
    to the parser head by head and body by body, so that each head is measured whole, and nothing behind it is taken for
    a part of it. What the parser refuses is answered after the requests before it.
    """

    LIMITS: ServerLimits
    CROWD: Crowd
    """All connections of the server."""

    _head_deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _held = b""
    """The begin of a head that has not ended yet."""
    _num_parsed = 0
    """Bytes of it that the parser has seen: the first line, or what there is of it."""
    _active: RequestResponseCycle | None = None
    """The request that is being answered; `cycle` is the last one."""
    _body_left: int | None = 0
    """Bytes of the body that are still to come; None: the parser finds its end."""
    _farewell: bytes | None = None
    """The last answer, to be sent after those that are due."""

    def connection_made(self, transport: Any) -> None:
        """Await the head of the first request."""
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        self._await_head()
        self.CROWD.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._cancel_head_deadline()
        self._cancel_write_deadline()
        self.CROWD.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head has grown too large."""
        self._unset_keepalive_if_required()
        while data and self._farewell is None and not self.transport.is_closing():
            data = self._take_head(data) if self._in_head else self._take_body(data)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more; what it has sent is answered all the same, where it still listens."""
        if not self._in_head or (self._head_bytes and not self._is_answering()):
            self._refuse(HTTPStatus.BAD_REQUEST, "A request must be whole", "the connection ended in its middle")
        if not self._is_answering() or self.scheme == "https":
            self.transport.close()  # after what is still held
            return None
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """A further request; uvicorn queues those that come before the answer, as many as come."""
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise ValueError("too many requests before the first answer")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is here; the app reads the body."""
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError("two names of one server")
        sizes = {name: value for name, value in self.headers if name in (b"content-length", b"transfer-encoding")}
        self._body_left = None if b"transfer-encoding" in sizes else int(sizes.get(b"content-length", 0))
        self.CROWD.ask(self)
        is_refused = self.CROWD.is_full and self.url.partition(b"?")[0] not in _ALWAYS_SERVED
        self.app = _refuse_busy if is_refused else self.config.loaded_app
        super().on_headers_complete()
        self._in_head = False
        self._cancel_head_deadline()

    def on_message_complete(self) -> None:
        """The next byte belongs to another head, which its own time begins with."""
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0
        if self.cycle.response_complete and not self.transport.is_closing():
            self._cancel_write_deadline()
            self.CROWD.rest(self)

    def on_response_complete(self) -> None:
        """A connection that closes must have given its last bytes away in time, too, and a body that nobody reads must
        end.
        """
        super().on_response_complete()
        if self.transport.is_closing() or not self._in_head:
            self._await_reader()
        if self._in_head and not self._is_answering():
            self.CROWD.rest(self)
        if self._farewell is not None and not self._is_answering():
            self._close_with(self._farewell)

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

    def turn_away(self) -> None:
        """Close this connection to make room for another. A client that has had no answer yet gets a 503."""
        self._head_bytes = self._head_bytes or int(self.cycle is None)
        self._refuse(*BUSY)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def _take_head(self, data: bytes) -> bytes:
        """Give the parser what belongs to this head, and return the rest.

        Headers are held back until they have ended, so that those that ask for another protocol, which is not spoken
        here, can be left out: the parser would read no body after them.
        """
        if self._head_deadline is None:
            self._await_head()
        whole = self._held + data
        end = _HEAD_END.search(whole, max(0, len(self._held) - _LONGEST_END))
        size = end.end() if end else len(whole)
        self._head_bytes += size - len(self._held)
        if self._head_bytes > self.LIMITS.max_head_bytes:
            expected = f"A request's headers may have at most {self.LIMITS.max_head_bytes} bytes"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, expected, "they have more")
            return b""
        seen = self._num_parsed
        if end:
            self._held, self._num_parsed = b"", 0
            self._feed(_UPGRADE.sub(b"", whole[seen:size]))
            return whole[size:]
        self._held = whole
        self._num_parsed = whole.find(b"\n") + 1 or size
        self._feed(whole[seen : self._num_parsed])
        return b""

    def _take_body(self, data: bytes) -> bytes:
        """Give the parser what belongs to this body, and return the rest."""
        left = self._body_left
        taken = data if left is None else data[:left]
        if left is not None:
            self._body_left = left - len(taken)
        self._feed(taken)
        return data[len(taken) :]

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "A request must be in HTTP/1.1", "invalid HTTP request received")
        except httptools.HttpParserUpgrade:  # a tunnel, which is not made: nothing after it is a request
            self._farewell = b""
            if not self._is_answering():
                self._close_with(b"")

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
        expected = f"A request must arrive within {self.LIMITS.request_seconds:g} seconds"
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, expected, "it did not")

    def _refuse(self, status: HTTPStatus, expected: str, actual: str) -> None:
        """Answer without the app, after the requests that came before, and close. A client that has not sent a byte
        gets no answer.
        """
        if self.transport.is_closing():
            return
        self._cancel_head_deadline()
        self._farewell = _answer(status, expected, actual) if self._head_bytes or not self._in_head else b""
        if not self._in_head:
            self._give_up_unfinished()
        if not self._is_answering():
            self._close_with(self._farewell)

    def _give_up_unfinished(self) -> None:
        """Forget a request whose body cannot be read: the last answer is the answer to it, unless it has one."""
        cycle = self.cycle
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self._active  # type: ignore[assignment]
        elif cycle.response_started:
            self._farewell = b""
        else:
            cycle.response_complete = cycle.disconnected = True
            cycle.message_event.set()

    def _close_with(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
            self._await_reader()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


async def _refuse_busy(_scope: Any, _receive: Any, send: Any) -> None:
    """The ASGI app for requests beyond those that are served."""
    body = _body(*BUSY)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": BUSY[0].value, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(status: HTTPStatus, expected: str, actual: str) -> bytes:
    """A whole answer, after which the connection closes."""
    body = _body(status, expected, actual)
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\nConnection: close\r\n\r\n" + body


def _body(status: HTTPStatus, expected: str, actual: str) -> bytes:
    remedy = "Send the request again later" if status == BUSY[0] else "See the server's documentation"
    return json.dumps(error_body(RequestError(status, expected=expected, actual=actual, remedy=remedy))).encode()
