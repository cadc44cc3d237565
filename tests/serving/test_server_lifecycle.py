"""The server bounds what it holds, survives failures, and stops without losing an answer."""

import json
import logging
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.exceptions import AddressError
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import PredictionServer, create_server
from optimum_ose.serving.tasks.parts.labels import Labels
from serving.server_client import ask, metric, predict, running

HEAD = b"POST /predict HTTP/1.1\r\nContent-Length: 15\r\n\r\n"
BODY = b'{"inputs": "a"}'


class Gate:
    """Holds the model back, so that a test knows what waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self._opened = threading.Semaphore(0), threading.Event()
        rows = OnnxPipeline.rows

        def held(pipeline: OnnxPipeline, pairs: Any, **options: Any) -> Any:
            if pairs == [(pipeline.trial_text, None)]:
                return rows(pipeline, pairs, **options)
            self.entered.release()
            assert self._opened.wait(20)
            return rows(pipeline, pairs, **options)

        monkeypatch.setattr(OnnxPipeline, "rows", held)

    def open(self) -> None:
        self._opened.set()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


@contextmanager
def ready(server: PredictionServer) -> Iterator[int]:
    """Running, and done with the request of its own."""
    with running(server) as port:
        assert ask(port, None, method="GET", path="/ready")[0] == 200
        yield port


def status_of(connection: socket.socket) -> int:
    with HTTPResponse(connection) as response:
        response.begin()
        response.read()
        return response.status


def metrics_answers(connection: socket.socket, count: int) -> list[str]:
    """The next answers, which came one behind the other."""
    stream, texts = connection.makefile("rb"), []
    with stream:
        for _ in range(count):
            assert stream.readline().split()[1] == b"200"
            head = dict(line.split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
            texts.append(stream.read(int(head[b"content-length"])).decode())
    return texts


def send_until_refused(connection: socket.socket, data: bytes) -> None:
    for _ in range(2**16):
        connection.sendall(data)


def serve(folder: Path, **limits: Any) -> PredictionServer:
    return create_server(folder, port=0, num_threads=1, limits=ServerLimits(**limits))


def test_texts_beyond_the_queue_are_refused_while_those_in_it_are_answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with ready(serve(folder, max_queue_texts=3, max_batch_texts=1)) as port, ThreadPoolExecutor(4) as pool:
        computing = pool.submit(predict, port, "a")
        assert gate.entered.acquire(timeout=20)
        waiting = pool.submit(predict, port, ["a", "a", "a"])
        while metric(port, "ose_queue_texts") < 3:
            pass
        status, content = predict(port, "a")
        assert (status, content["expected"]) == (503, "At most 3 texts may wait, half of them of large requests")
        gate.open()
        assert computing.result()[0] == waiting.result()[0] == 200
        assert predict(port, "a")[0] == 200


def test_an_answer_that_takes_too_long_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with ready(serve(folder, answer_seconds=0.2)) as port:
        status, content = predict(port, "a")
        assert (status, content["expected"]) == (504, "An answer must be there within 0.2 seconds")
        gate.open()


def test_bodies_beyond_the_budget_are_refused_until_there_is_room(folder: Path) -> None:
    with ready(serve(folder, max_pending_bytes=20)) as port:
        with connected(port) as first:
            first.sendall(HEAD + BODY[:5])
            while metric(port, "ose_pending_bytes") < 15:
                pass
            status, content = ask(port, BODY)
            assert (status, content["actual"]) == (503, "they would hold more")
            first.sendall(BODY[5:])
            assert status_of(first) == 200
        assert ask(port, BODY)[0] == 200


@pytest.mark.parametrize("sent", [b"", b"POST /pre", HEAD[:-2], b"\r\n", HEAD, HEAD + BODY[:3]], ids=repr)
def test_a_request_that_does_not_arrive_is_cut_off_at_the_deadline(folder: Path, sent: bytes) -> None:
    with ready(serve(folder, request_seconds=0.2)) as port, connected(port) as slow:
        slow.sendall(sent)
        answer = b"".join(iter(lambda: slow.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n") if sent else answer == b""
        assert predict(port, "a")[0] == 200


def test_a_client_that_drips_does_not_gain_time(folder: Path) -> None:
    with ready(serve(folder, request_seconds=0.3)) as port, connected(port) as drip:
        drip.sendall(b"POST /predict HTTP/1.1\r\nX: ")
        drip.settimeout(0.02)
        answer = b""
        for _ in range(500):
            try:
                answer = drip.recv(1000)
                break
            except TimeoutError:
                drip.sendall(b"x")
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\0" * 100, 400),
        (b"GET /h\xc3\xa4 HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x HTTP/1.1\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 400),
        (b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
        (b"POST /predict HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n" + BODY, 100),
    ],
    ids=["tls", "zeros", "path", "no path", "two sizes", "smuggled", "upgrade", "1.0", "expect"],
)
def test_odd_requests_get_a_status(folder: Path, sent: bytes, status: int) -> None:
    with ready(serve(folder, request_seconds=2)) as port, connected(port) as odd:
        odd.sendall(sent)
        assert odd.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())
        assert predict(port, "a")[0] == 200


def test_headers_without_end_are_refused(folder: Path) -> None:
    with ready(serve(folder, max_head_bytes=4000)) as port, connected(port) as endless:
        endless.sendall(b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 800)
        assert status_of(endless) == 431


def test_a_client_that_does_not_take_its_answer_is_dropped(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    config = json.loads((own / "config.json").read_text())
    config["id2label"] = {index: name * 5000 for index, name in config["id2label"].items()}
    (own / "config.json").write_text(json.dumps(config))
    body = json.dumps({"inputs": ["a"] * 200}).encode()
    with caplog.at_level(logging.INFO), ready(serve(own, request_seconds=0.3)) as port, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        while "a client did not take its answer" not in caplog.text:
            pass
        assert ask(port, BODY)[0] == 200
        deaf.settimeout(20)
        with pytest.raises((IncompleteRead, ConnectionError)):
            status_of(deaf)


def test_requests_without_end_before_the_first_answer_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with ready(serve(folder)) as port, connected(port) as hasty:
        hasty.sendall((HEAD + BODY) * 10)
        assert gate.entered.acquire(timeout=20)
        gate.open()
        answers = b""
        while answers.count(b"HTTP/1.1 200 OK") < 10:
            answers += hasty.recv(2**16)
        with pytest.raises(ConnectionError):
            send_until_refused(hasty, (HEAD + BODY) * 1000)


def test_clients_that_go_away_leave_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(monkeypatch)
    with ready(serve(folder, request_seconds=30)) as port, caplog.at_level(logging.WARNING):
        for sent in (b"", HEAD[:20], HEAD, HEAD + BODY[:5], HEAD + BODY):
            with connected(port) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not closed
                gone.sendall(sent)
        assert gate.entered.acquire(timeout=20)
        gate.open()
        assert predict(port, "a")[0] == 200
        while metric(port, "ose_pending_bytes"):
            pass
    assert not caplog.records


def test_a_failure_inside_is_logged_and_answered_without_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError("private detail")

    with ready(serve(folder)) as port, caplog.at_level(logging.ERROR):
        with monkeypatch.context() as broken:
            broken.setattr(Labels, "ranked", fail)
            assert predict(port, "a") == (500, {"error": "The server failed; its log tells why"})
        assert predict(port, "a")[0] == 200
    assert "private detail" in caplog.text


def test_a_failing_batch_fails_its_requests_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, failures = OnnxPipeline.rows, [MemoryError()]

    def fail_once(pipeline: OnnxPipeline, pairs: Any, **options: Any) -> Any:
        if failures and pairs == [("a", None)]:
            raise failures.pop()
        return rows(pipeline, pairs, **options)

    monkeypatch.setattr(OnnxPipeline, "rows", fail_once)
    with ready(serve(folder)) as port:
        assert ask(port, None, method="GET", path="/ready")[0] == 200
        assert [predict(port, "a")[0] for _ in range(2)] == [500, 200]


def test_the_server_is_ready_only_after_a_request_of_its_own_was_answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, opened, failures = OnnxPipeline.rows, threading.Event(), [MemoryError()]

    def held(*arguments: Any, **options: Any) -> Any:
        assert opened.wait(20)
        if failures:
            raise failures.pop()
        return rows(*arguments, **options)

    monkeypatch.setattr(OnnxPipeline, "rows", held)
    with running(serve(folder)) as port:
        for path in ("/ready", "/v2/health/ready"):
            assert ask(port, None, method="GET", path=path) == (503, {"status": "starting", "ready": False})
        assert ask(port, None, method="GET", path="/health")[0] == 200
        opened.set()
        assert ask(port, None, method="GET", path="/ready") == (503, {"status": "failing", "ready": False})
        assert ask(port, None, method="GET", path="/ready") == (200, {"status": "ready", "ready": True})


def test_a_taken_port_is_named(folder: Path) -> None:
    with ready(serve(folder)) as port, pytest.raises(AddressError, match=rf"Port {port} of 127.0.0.1 .* in use"):
        create_server(folder, port=port)


def test_requests_beyond_those_served_at_once_are_refused_but_health_is_told(folder: Path) -> None:
    with ready(serve(folder, max_connections=2)) as port, connected(port) as one, connected(port) as two:
        one.sendall(HEAD)
        two.sendall(HEAD)
        with connected(port) as three:
            for path in ("/health", "/ready", "/metrics", "/v2/health/live", "/v2/health/ready"):
                three.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
                assert status_of(three) == 200
            three.sendall(HEAD + BODY)
            assert status_of(three) == 503
            one.sendall(BODY)
            two.sendall(BODY)
            assert status_of(one) == status_of(two) == 200
            three.sendall(HEAD + BODY)
            assert status_of(three) == 200


@pytest.mark.parametrize("sent", [b"", b"GET /heal", HEAD[:40]], ids=["silent", "line", "headers"])
def test_silent_connections_keep_nobody_out(folder: Path, sent: bytes) -> None:
    with ready(serve(folder, max_connections=20)) as port, ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connected(port)).sendall(sent)
        for path in ("/health", "/ready"):
            assert ask(port, None, method="GET", path=path)[0] == 200
        assert [predict(port, "a")[0] for _ in range(5)] == [200] * 5


def test_a_probe_is_answered_while_many_clients_ask_much(folder: Path) -> None:
    server = serve(folder)
    asked = b"GET /metrics HTTP/1.1\r\n\r\n" * 16
    counted = re.compile(r'ose_requests_total\{path="(/metrics|/health)",status="200"\} (\d+)')
    with ExitStack() as stack:  # all wait in the system's queue before the server takes the first one
        clients = [stack.enter_context(connected(server.port)) for _ in range(100)]
        for client in clients:
            client.sendall(asked)
        probe = stack.enter_context(connected(server.port))
        probe.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        with running(server):
            assert status_of(probe) == 200
            texts = [answer for client in clients for answer in metrics_answers(client, 16)]
    assert len(texts) == 16 * len(clients)
    counts = [dict(counted.findall(text)) for text in texts]
    before = max(int(count.get("/metrics", 0)) for count in counts if "/health" not in count)
    assert before < len(texts) / 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_after_everything_accepted_is_answered(folder: Path, number: signal.Signals) -> None:
    script = (
        "import signal, sys, threading; from optimum_ose.serving import OnnxPipeline\n"
        "from optimum_ose.serving.__main__ import main\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # tests under nohup inherit that it is ignored
        "rows, opened = OnnxPipeline.rows, threading.Event()\n"
        "threading.Thread(target=lambda: (sys.stdin.readline(), opened.set())).start()\n"
        "def held(pipeline, pairs, **options):\n"
        "    if pairs[0][0] != pipeline.trial_text:\n"
        "        print('asked', flush=True); opened.wait()\n"
        "    return rows(pipeline, pairs, **options)\n"
        "OnnxPipeline.rows = held\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", script, str(folder), "--port", "0", "--max-batch-texts", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        with ThreadPoolExecutor(4) as pool, connected(port) as idle:
            answers: list[Future[tuple[int, Any]]] = [pool.submit(predict, port, "a good film")]
            assert process.stdout.readline() == "asked\n"
            answers += [pool.submit(predict, port, ["a", "the cat"]) for _ in range(3)]
            while metric(port, "ose_queue_texts") < 6:
                pass
            process.send_signal(number)
            while ask(port, None, method="GET", path="/ready") != (503, {"status": "draining", "ready": False}):
                pass
            process.stdin.write("\n")
            process.stdin.flush()
            assert [answer.result()[0] for answer in answers] == [200] * 4
            assert idle.recv(1) == b""
        process.stdout.read()
        assert process.wait(timeout=20) == 128 + number
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port))
