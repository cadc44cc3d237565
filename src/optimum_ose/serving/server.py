"""The prediction server: uvicorn around a `PredictionApp`."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from uvicorn import Config, Server

from optimum_ose.serving.app import PredictionApp
from optimum_ose.serving.connection import bounded_protocol
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.listening import BACKLOG, is_local, listen, reserve_files, url
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.runner import check_threads

_LOGGER = logging.getLogger(__name__)
_OPEN = (
    "The server listens beyond this machine without an API key: whoever reaches {} can use it. "
    "Set a key (--api-key-file or OSE_API_KEY), or listen on 127.0.0.1"
)
_ACCEPTED_PER_TURN = 32
"""Connections accepted in one turn of the event loop. libuv accepts one for each listening handle, so that hundreds of
clients that each ask much kept the connection of a probe waiting for seconds."""
_SWEEP_SECONDS = 0.2
_SWITCH_SECONDS = 0.00005
"""How long one thread may keep the interpreter from another. With Python's 5 ms a worker that has computed its batch
waits for the event loop to write thirty answers before it may begin the next one."""


def create_server(
    folder: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    name: str | None = None,
    file_name: str | None = None,
    num_threads: int | None = None,
    num_workers: int = 1,
    limits: ServerLimits | None = None,
    exposure: Exposure | None = None,
) -> "PredictionServer":
    """Load the folder and bind the port.

    `POST /predict` takes `{"inputs": text or list, "parameters": {"top_k": n}}` and answers with one list of labels and
    scores per text, as the Hub's inference API does. `/v1` speaks OpenAI's API, `/v2` the Open Inference Protocol;
    `GET /openapi.json` lists what the folder answers. `GET /health`: the process lives. `GET /ready`: it takes
    requests. `GET /metrics`: Prometheus.

    Args:
        folder: an exported folder; see `OnnxPipeline.from_pretrained`.
        host: address to listen on.
        port: 0 takes a free one; `port` of the result tells which.
        name: of the model in the Open Inference Protocol and OpenAI's API; None: the folder's.
        file_name: ONNX file relative to the folder.
        num_threads: intra-op threads of one batch.
        num_workers: batches computed at once.
        limits: sizes and times of requests.
        exposure: who may reach the server, and whether by HTTPS.

    Raises:
        AddressError: if the port is taken, or the host is unknown or another machine.
        OSEError: if the folder cannot be loaded, or a number is out of range.
    """
    check_threads("num_workers", num_workers)
    (exposure or Exposure()).check_certificate()
    listen(host, port).close()  # an address that cannot be had is told before the model is read
    pipeline = OnnxPipeline.from_pretrained(folder, file_name=file_name, num_threads=num_threads)
    app = PredictionApp(
        pipeline,
        name=name or Path(folder).resolve().name or "model",
        limits=limits,
        num_workers=num_workers,
        exposure=exposure,
    )
    return PredictionServer(app, host=host, port=port)


@final
class PredictionServer:
    """A bound port, and what answers on it."""

    def __init__(self, app: PredictionApp, *, host: str, port: int) -> None:
        """Bind the port; see `create_server`.

        Raises:
            AddressError: if it is taken, or the host is unknown or another machine.
            InvalidConfigError: if the port is out of range, or the system allows fewer connections.
        """
        reserve_files(app.limits.max_connections)
        self._listener = listen(host, port)
        self.port = int(self._listener.getsockname()[1])
        """The port that clients connect to."""
        exposure = app.exposure
        self.url = url(host, self.port, scheme="https" if exposure.tls_certificate else "http")
        """Scheme, host and port."""
        if exposure.api_key is None and not is_local(self._listener):
            _LOGGER.warning("%s", _OPEN.format(self.url))
        limits = app.limits
        self._server = _DrainingServer(
            Config(
                app,
                http=bounded_protocol(limits),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                ssl_certfile=exposure.tls_certificate,
                ssl_keyfile=exposure.tls_key,
                timeout_keep_alive=limits.idle_seconds,
            )
        )
        self._server.app = app

    def run(self) -> None:
        """Serve until `stop`, answer what was accepted, and close the port. In any thread, once."""
        others = [self._listener.dup() for _ in range(_ACCEPTED_PER_TURN - 1)]
        try:
            self._server.run(sockets=[self._listener, *others])
        finally:
            self._listener.close()

    def stop(self) -> None:
        """Begin to drain. From any thread, or a signal handler."""
        self._server.should_exit = True


def serve_until_signal(server: PredictionServer) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP, answer what was accepted, close. Main thread only.

    Returns:
        The number of the signal.
    """
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        server.stop()

    ending = {signal.SIGINT, signal.SIGTERM}
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it
        ending.add(signal.SIGHUP)
    previous = {number: signal.signal(number, stop) for number in ending}
    try:
        with _tuned_interpreter():
            server.run()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return received[0]


@contextmanager
def _tuned_interpreter() -> Iterator[None]:
    """Short turns for threads, and no garbage collection of what was loaded before the first request."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)


class _DrainingServer(Server):
    """Uvicorn, except that it leaves the signals alone and accepts for a moment longer."""

    app: PredictionApp

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell that the end is near; take what clients have sent already; then close as uvicorn does.

        Uvicorn alone would reset connections that wait in the kernel, or whose request has not been read yet.
        """
        self.app.drain()
        await asyncio.sleep(_SWEEP_SECONDS)
        await super().shutdown(sockets)
