"""The prediction server: HTTP of the standard library around an `OnnxPipeline`."""

import io
import json
import logging
import os
import select
import signal
import socket
import socketserver
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, final

from optimum_ose.serving.connection import DeadlineReader
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError, ServerLimits, error_body, parse_request

_LOGGER = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
_BODY_UNREAD = {HTTPStatus.LENGTH_REQUIRED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT}


def create_server(
    folder: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    file_name: str | None = None,
    num_threads: int | None = None,
    limits: ServerLimits | None = None,
) -> "PredictionServer":
    """Load the folder and bind the port.

    `POST /predict` takes `{"inputs": text or list, "parameters": {"top_k": n}}` and answers with one list of labels and
    scores per text, as the Hub's inference API does. `GET /health`: the process lives. `GET /ready`: it takes requests.

    Args:
        folder: an exported folder; see `OnnxPipeline.from_pretrained`.
        host: address to listen on.
        port: 0 takes a free one; `server_port` of the result tells which.
        file_name: ONNX file relative to the folder.
        num_threads: intra-op threads of one prediction.
        limits: sizes and times of requests.

    Raises:
        OSError: if the port is taken.
        OSEError: if the folder cannot be loaded.
    """
    pipeline = OnnxPipeline.from_pretrained(folder, file_name=file_name, num_threads=num_threads)
    return PredictionServer((host, port), pipeline, limits or ServerLimits())


def serve_until_signal(server: "PredictionServer") -> int:
    """Serve until SIGTERM or SIGINT, answer what was accepted, close. Main thread only.

    Returns:
        The number of the signal.
    """
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        threading.Thread(target=server.stop).start()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.serve_forever(_POLL_SECONDS)
    finally:
        server.server_close()
        for number, handler in previous.items():
            signal.signal(number, handler)
    return received[0]


@final
class PredictionServer(ThreadingHTTPServer):
    """One thread per connection, of which there is a bounded number."""

    daemon_threads = False  # so that closing waits for the answers under way
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], pipeline: OnnxPipeline, limits: ServerLimits) -> None:
        self.pipeline = pipeline
        self.limits = limits
        self.draining = threading.Event()
        self.predicting = threading.BoundedSemaphore(limits.max_parallel_predictions)
        self._connections = threading.BoundedSemaphore(limits.max_connections)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse name lookup of the base class, which can hang without a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def stop(self) -> None:
        """Take no more connections. To be called from another thread than `serve_forever`."""
        self.draining.set()
        self.shutdown()

    def server_close(self) -> None:
        """Answer the connections that the kernel has accepted already, then close and wait for every thread."""
        self.draining.set()
        for _ in range(self.request_queue_size):
            if not select.select([self.socket], [], [], 0)[0]:
                break
            self.handle_request()
        super().server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the connection's thread, once there is room for it."""
        self._connections.acquire()
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what no handler caught; the client gets a status and no traceback."""
        if isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            _LOGGER.debug("client went away", exc_info=True)
            return
        _LOGGER.exception("request failed")
        body = b'{"error": "The server failed; its log tells why"}'
        head = (
            f"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        )
        with suppress(OSError):
            request.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)


class _Handler(BaseHTTPRequestHandler):
    """Requests of one connection."""

    server: PredictionServer
    protocol_version = "HTTP/1.1"
    server_version = "optimum-ose"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._reader = DeadlineReader(
            self.connection, seconds=self.server.limits.request_seconds, draining=self.server.draining
        )
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        self._reader.begin_request()
        super().handle_one_request()

    def do_GET(self) -> None:
        draining = self.server.draining.is_set()
        if self.path == "/health":
            self._reply(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/ready":
            status = HTTPStatus.SERVICE_UNAVAILABLE if draining else HTTPStatus.OK
            self._reply(status, {"status": "draining" if draining else "ready"})
        else:
            self._refuse_path()

    def do_POST(self) -> None:
        if self.path != "/predict":
            self._refuse_path()
            return
        try:
            inputs, top_k = parse_request(self._body(), self.server.limits)
            with self.server.predicting:
                answers = self.server.pipeline(inputs, top_k=top_k)
        except RequestError as error:
            self._reply(error.status, error_body(error), close=error.status in _BODY_UNREAD)
        else:
            self._reply(HTTPStatus.OK, answers)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the base class refuses, as JSON."""
        status = HTTPStatus(code)
        error = RequestError(
            status,
            expected="A request must be GET /health, GET /ready or POST /predict in HTTP/1.1",
            actual=f"got another one: {message or status.phrase}",
            remedy="See the server's documentation",
        )
        self._reply(status, error_body(error), close=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        _LOGGER.debug("%s %r", self.address_string(), format % args)

    def _refuse_path(self) -> None:
        known = self.path in {"/predict", "/health", "/ready"}
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND)

    def _body(self) -> bytes:
        length, limit = self.headers.get("Content-Length", ""), self.server.limits.max_body_bytes
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise RequestError(
                HTTPStatus.LENGTH_REQUIRED,
                expected="A request must tell the size of its body in Content-Length",
                actual="it does not",
                remedy="Send the body in one piece",
            )
        if len(length) > 18 or int(length) > limit:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                expected=f"A request body may have at most {limit} bytes",
                actual=f"it has {length[:18]}",
                remedy="Send several requests",
            )
        try:
            return self.rfile.read(int(length))
        except TimeoutError as error:
            raise RequestError(
                HTTPStatus.REQUEST_TIMEOUT,
                expected=f"A request must arrive within {self.server.limits.request_seconds:g} seconds",
                actual="it did not",
                remedy="Send it faster",
            ) from error

    def _reply(self, status: HTTPStatus, content: object, *, close: bool = False) -> None:
        body = json.dumps(content, allow_nan=False).encode()
        self.connection.settimeout(self.server.limits.request_seconds)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if close or self.server.draining.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if close:
            self._discard_rest()

    def _discard_rest(self) -> None:
        """Read what the client still sends: closing at once would reset the connection before it reads the answer."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1(2**16):
                pass
        except OSError:
            _LOGGER.debug("client kept sending", exc_info=True)
