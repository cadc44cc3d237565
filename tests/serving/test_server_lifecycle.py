"""The server bounds what it holds, survives failures, and stops without losing an answer."""

import json
import logging
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path

import pytest

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.server_client import ask, predict, running


def test_more_clients_than_connections_wait_for_their_turn(folder: Path) -> None:
    limits = ServerLimits(max_connections=2, max_parallel_predictions=1)
    server = create_server(folder, port=0, num_threads=1, limits=limits)
    with running(server) as port, ThreadPoolExecutor(12) as pool:
        assert [status for status, _ in pool.map(lambda _: predict(port, "a good film"), range(12))] == [200] * 12


def test_a_client_that_drips_is_cut_off_at_the_deadline(folder: Path) -> None:
    limits = ServerLimits(request_seconds=0.4)
    with running(create_server(folder, port=0, limits=limits)) as port:
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as drip:
            drip.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
            response = HTTPResponse(drip)
            for _ in range(4):
                drip.sendall(b" ")
                time.sleep(0.05)
            response.begin()
            assert response.status == 408
            assert json.loads(response.read())["expected"] == "A request must arrive within 0.4 seconds"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
            assert silent.recv(1) == b""
        assert time.monotonic() - start < 3


def test_a_failure_inside_is_logged_and_answered_without_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError("private detail")

    monkeypatch.setattr(OnnxPipeline, "__call__", fail)
    with running(create_server(folder, port=0)) as port, caplog.at_level(logging.ERROR):
        assert predict(port, "a") == (500, {"error": "The server failed; its log tells why"})
        assert ask(port, None, method="GET", path="/health")[0] == 200
    assert "private detail" in caplog.text


def test_a_taken_port_is_an_error_of_the_system(folder: Path) -> None:
    with running(create_server(folder, port=0)) as port, pytest.raises(OSError, match="in use"):
        create_server(folder, port=port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_after_the_answers_under_way(folder: Path, number: signal.Signals) -> None:
    script = (
        "import sys, time; from optimum_ose.serving import OnnxPipeline\n"
        "from optimum_ose.serving.server import create_server, serve_until_signal\n"
        "ask = OnnxPipeline.__call__\n"
        "def slow(*arguments, **options):\n"
        "    print('asked', flush=True); time.sleep(0.5); return ask(*arguments, **options)\n"
        "OnnxPipeline.__call__ = slow\n"
        "server = create_server(sys.argv[1], port=0)\n"
        "print(server.server_port, flush=True)\n"
        "sys.exit(128 + serve_until_signal(server))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with ThreadPoolExecutor(1) as pool, socket.create_connection(("127.0.0.1", port)) as idle:
        answer = pool.submit(predict, port, "a good film")
        assert process.stdout.readline() == "asked\n"
        process.send_signal(number)
        assert answer.result()[0] == 200
        assert process.wait(timeout=5) == 128 + number
        assert idle.recv(1) == b""
    process.stdout.close()
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port))
