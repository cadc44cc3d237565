"""Whatever bytes arrive, each request gets an answer, and the connection ends."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.server_client import predict, running

BODY = b'{"inputs": "a"}'
GOOD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n" + BODY
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    limits = ServerLimits(request_seconds=1.0, idle_seconds=1)
    with running(create_server(folder, port=0, num_threads=1, limits=limits)) as number:
        yield number


def statuses(port: int, *parts: bytes, half_close: bool = False) -> list[int]:
    """Of all answers until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(2**16), b""))
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


def post(*headers: bytes, body: bytes = BODY) -> bytes:
    return b"\r\n".join([b"POST /predict HTTP/1.1", b"Host: x", *headers, b"", body])


@pytest.mark.parametrize("coding", [b"identity", b"xchunked", b"chunk", b"gzip", b"chunked, identity", b"", b"\x01"])
def test_a_transfer_coding_that_is_none_is_refused(port: int, coding: bytes) -> None:
    (status,) = statuses(port, post(b"Transfer-Encoding: " + coding))
    assert status in (400, 411)


@pytest.mark.parametrize(
    "body", [b"garbage\r\n", b"zz\r\nabc\r\n", b"-1\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"f" * 20 + b"\r\n", b"0"]
)
def test_chunks_that_are_none_get_one_answer(port: int, body: bytes) -> None:
    (status,) = statuses(port, post(b"Transfer-Encoding: chunked", body=body))
    assert status in (400, 411)


@pytest.mark.parametrize(
    "upgrade",
    [
        [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"],
        [b"Upgrade: h2c", b"Connection: upgrade"],
        [b"UPGRADE:websocket", b"connection: keep-alive, Upgrade"],
    ],
    ids=["curl", "h2c", "websocket"],
)
def test_a_request_that_would_upgrade_is_answered_as_it_is(port: int, upgrade: list[bytes]) -> None:
    request = post(*upgrade, b"Content-Length: 15")
    assert statuses(port, request) == [200]
    assert statuses(port, *(request[index : index + 7] for index in range(0, len(request), 7))) == [200]


@pytest.mark.parametrize(
    "rest", [b"garbage", b"\0\0\0\0", b"\x16\x03\x01\x02\n", b"GET / HTTP/9.9\r\n\r\n", b"}" * 500]
)
@pytest.mark.parametrize("before", [GOOD, GOOD + HEALTH + GOOD], ids=["one", "three"])
def test_what_follows_a_good_request_does_not_take_its_answer(port: int, before: bytes, rest: bytes) -> None:
    good = [200] * before.count(b"HTTP/1.1")
    assert statuses(port, before + rest) in ([*good, 400], [*good, 408])


def test_a_body_that_cannot_be_read_after_a_good_request_is_refused_behind_it(port: int) -> None:
    bad = post(b"Transfer-Encoding: chunked", body=b"garbage\r\n")
    assert statuses(port, GOOD + GOOD + bad) in ([200, 200, 400], [200, 200, 411])


@pytest.mark.parametrize(
    "request_",
    [
        GOOD * 3 + GOOD.replace(b"Host: x", b"Connection: close"),
        GOOD.replace(b"1.1", b"1.0"),
        GOOD.replace(b"POST /", b"POST http://anywhere:80/").replace(b"Host: x", b"Connection: close"),
        b"\r\n\r\n" + GOOD.replace(b"Host: x", b"Connection: close"),
        GOOD.replace(b"Host: x\r\n", b"Connection: close\r\n"),
    ],
    ids=["pipelined", "1.0", "absolute", "empty lines", "no host"],
)
def test_requests_of_other_forms_are_answered(port: int, request_: bytes) -> None:
    expected = [200] * request_.count(b"POST ")
    assert statuses(port, request_) == expected
    assert statuses(port, *(request_[index : index + 1] for index in range(len(request_)))) == expected


@pytest.mark.parametrize(
    "request_",
    [
        post(b"Content-Length: 15", b"Content-Length: 16"),
        post(b"Content-Length: 15", b"Content-Length: 15"),
        post(b"Content-Length: 15", b"Transfer-Encoding: chunked"),
        post(b"X: a", b" folded: b", b"Content-Length: 15"),
        post(b"X: \0", b"Content-Length: 15"),
        post(b"X\0: y", b"Content-Length: 15"),
        post(b"Connection: upgrade", b"upgrade : tls", b"Content-Length: 15"),
        post(b"no colon", b"Content-Length: 15"),
        post(b"Host: y", b"Content-Length: 15"),
        post(b": no name", b"Content-Length: 15"),
        GOOD.replace(b"\r\n", b"\n"),
        GOOD.replace(b"HTTP/1.1", b"HTTP/3.0"),
        b"CONNECT somewhere:443 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HELO there\r\n",
        b"GET /" + b"\xff" * 10 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=lambda value: repr(value[-60:-20]) if isinstance(value, bytes) else None,
)
def test_a_malformed_head_is_refused(port: int, request_: bytes) -> None:
    found = statuses(port, request_)
    assert found
    assert set(found) <= {200, 400, 405, 411}
    assert found[-1] != 200 or len(found) == 1


@pytest.mark.parametrize("size", [33_000, 60_000, 100_000])
@pytest.mark.parametrize("form", ["header", "headers", "path", "name"])
def test_a_head_beyond_its_size_is_refused_however_it_arrives(port: int, size: int, form: str) -> None:
    request = {
        "header": b"GET /health HTTP/1.1\r\nX: " + b"y" * size + b"\r\n\r\n",
        "headers": b"GET /health HTTP/1.1\r\n" + b"X: 0123456789abcdef\r\n" * (size // 21 + 1) + b"\r\n",
        "path": b"GET /" + b"y" * size + b" HTTP/1.1\r\n\r\n",
        "name": b"GET /health HTTP/1.1\r\n" + b"X" * size + b": y\r\n\r\n",
    }[form]
    assert statuses(port, request) == [431]
    assert statuses(port, GOOD + request) == [200, 431]


def test_a_head_within_its_size_is_read(port: int) -> None:
    assert statuses(port, b"GET /health HTTP/1.1\r\nConnection: close\r\nX: " + b"y" * 32_000 + b"\r\n\r\n") == [200]


@pytest.mark.parametrize("sent", [GOOD, GOOD + GOOD, HEALTH])
def test_a_client_that_has_finished_sending_still_gets_its_answers(port: int, sent: bytes) -> None:
    assert statuses(port, sent, half_close=True) == [200] * sent.count(b"HTTP/1.1")


@pytest.mark.parametrize("sent", [GOOD[:20], GOOD[:-3], GOOD[:60]])
def test_a_client_that_ends_in_the_middle_of_a_request_is_told_so(port: int, sent: bytes) -> None:
    assert statuses(port, sent, half_close=True) == [400]


@pytest.mark.parametrize("cut", [20, 60, -3], ids=["line", "headers", "body"])
@pytest.mark.parametrize("before", [GOOD, HEALTH, GOOD + HEALTH])
def test_a_good_request_before_one_that_ends_in_its_middle_gets_its_answer(port: int, before: bytes, cut: int) -> None:
    good = [200] * before.count(b"HTTP/1.1")
    assert statuses(port, before + GOOD[:cut], half_close=True) in (good, [*good, 400])


def test_two_names_of_a_server_in_one_request_are_refused(port: int) -> None:
    assert statuses(port, b"GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == [400]
    assert statuses(port, GOOD + b"GET /health HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n") == [200, 400]


@pytest.mark.parametrize("path", [b"/predict/", b"/health/", b"//evil.example/predict", b"/v2/"])
def test_no_answer_leads_to_another_place(port: int, path: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 15\r\n\r\n" + BODY)
        answer = connection.recv(2**16)
    assert answer.split()[1] in (b"404", b"405")
    assert b"evil" not in answer


def test_the_server_still_answers(port: int) -> None:
    status, content = predict(port, "a")
    assert status == 200
    assert json.dumps(content)
