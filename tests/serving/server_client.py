"""A server in a thread of the test, and a client for it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from optimum_ose.serving.server import PredictionServer


@contextmanager
def running(server: PredictionServer) -> Iterator[int]:
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join()


def ask(
    port: int, body: bytes | None, *, method: str = "POST", path: str = "/predict", **headers: str
) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def predict(port: int, inputs: object, **parameters: object) -> tuple[int, Any]:
    return ask(port, json.dumps({"inputs": inputs, "parameters": parameters}).encode())


def metric(port: int, name: str) -> float:
    """The value of a line of /metrics."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == name)
