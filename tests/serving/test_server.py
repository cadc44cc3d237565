"""The server answers what it should and refuses the rest with reasons."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.server_client import ask, predict, running

SMALL = ServerLimits(max_body_bytes=2000, max_texts=4, max_text_characters=100, request_seconds=2.0)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with running(create_server(folder, port=0, num_threads=1, limits=SMALL)) as number:
        yield number


@pytest.fixture(scope="module")
def served(folder: Path) -> OnnxPipeline:
    return OnnxPipeline.from_pretrained(folder, num_threads=1)


def test_answers_are_those_of_the_pipeline_one_list_per_text(port: int, served: OnnxPipeline) -> None:
    texts = ["a good film", "the cat"]
    assert predict(port, texts[0]) == (200, [served(texts[0], top_k=None)])
    assert predict(port, texts, top_k=1) == (200, [served(text, top_k=1) for text in texts])
    pair = {"text": "the cat", "text_pair": "a mat"}
    assert predict(port, pair, top_k=2) == (200, [served(pair, top_k=2)])
    assert predict(port, []) == (200, [])
    assert predict(port, "") == (200, [served("", top_k=None)])


def test_control_characters_are_text(port: int, served: OnnxPipeline) -> None:
    text = "a\x00 good\r\n\x1b[31m film \u2028"
    assert predict(port, text) == (200, [served(text, top_k=None)])


def test_the_client_of_the_hub_understands_the_answers(port: int) -> None:
    script = (
        "import sys; from huggingface_hub import InferenceClient\n"
        "answers = InferenceClient(model=sys.argv[1]).text_classification('a good film', top_k=2)\n"
        "print(*[answer.label for answer in answers])"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", script, f"http://127.0.0.1:{port}/predict"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(set(result.stdout.split()) & {"negative", "neutral", "positive"}) == 2


def test_health_and_readiness_are_told(port: int) -> None:
    assert ask(port, None, method="GET", path="/health") == (200, {"status": "ok", "live": True})
    assert ask(port, None, method="GET", path="/ready") == (200, {"status": "ready", "ready": True})


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the body is not JSON"),
        (b"{", 400, "the body is not JSON"),
        (b'{"inputs": "a", "inputs": "b"}', 400, "an object of the body has a name twice"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        (b"[" * 1900, 400, "the body is not JSON"),
        (b'{"inputs": "a", "parameters": {"top_k": ' + b"9" * 1900 + b"}}", 200, ""),
        (b"[]", 400, "no object with the key inputs"),
        (b"{}", 400, "no object with the key inputs"),
        (b'{"inputs": 7}', 400, "got a value of type int"),
        (b'{"inputs": null}', 400, "got a value of type NoneType"),
        (b'{"inputs": [{"text": ["a"]}]}', 400, "got a value of type list"),
        (b'{"inputs": [["a", 7]]}', 400, "no list of one or two texts"),
        (b'{"inputs": {"text": "a", "x": "b"}}', 400, "got the keys"),
        (b'{"inputs": "\\ud800"}', 400, "half of a surrogate pair"),
        (b'{"inputs": "a", "parameters": 7}', 400, "parameters is no object"),
        (b'{"inputs": "a", "parameters": []}', 400, "parameters is no object"),
        (b'{"inputs": "a", "parameters": 0}', 400, "parameters is no object"),
        (b'{"inputs": "a", "parameters": ""}', 400, "parameters is no object"),
        (b'{"inputs": "a", "parameters": false}', 400, "parameters is no object"),
        (b'{"inputs": "a", "parameters": null}', 200, ""),
        (b'{"inputs": "a", "parameters": {"function_to_apply": "none"}}', 400, "parameters is no object"),
        (b'{"inputs": "a", "parameters": {"top_k": 0}}', 400, "top_k is no positive whole number"),
        (b'{"inputs": "a", "parameters": {"top_k": true}}', 400, "top_k is no positive whole number"),
        (b'{"inputs": ["a", "a", "a", "a", "a"]}', 422, "it holds 5"),
        (b'{"inputs": ["' + b"a" * 101 + b'"]}', 422, "one has 101"),
        (b" " * 2001, 413, "it has 2001"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_a_bad_body_gets_a_status_and_three_reasons(port: int, body: bytes, status: int, message: str) -> None:
    answered, content = ask(port, body)
    assert answered == status
    if status != 200:
        assert set(content) == {"error", "expected", "actual", "remedy"}
        assert message in content["actual"]
        assert content["error"] == f"{content['expected']}; {content['actual']}. {content['remedy']}"
    assert ask(port, None, method="GET", path="/health")[0] == 200


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        (405, "GET", "/predict"),
        (405, "POST", "/health"),
        (405, "GET", "/"),
        (404, "POST", "/x"),
        (405, "PUT", "/predict"),
    ],
)
def test_other_paths_and_methods_are_refused_in_json(port: int, status: int, method: str, path: str) -> None:
    answered, content = ask(port, b'{"inputs": "a"}', method=method, path=path)
    assert answered == status
    assert content["expected"].startswith("A request must be POST /predict")


def test_a_body_of_unknown_size_is_refused(port: int) -> None:
    status, content = ask(port, b"0\r\n\r\n", **{"Transfer-Encoding": "chunked"})
    assert (status, content["remedy"]) == (411, "Send the body in one piece")


@pytest.mark.parametrize("length", ["-1", "9" * 5000, "1e3", "1_0", "", "+1"], ids=lambda value: value[:4])
def test_a_size_that_is_none_is_refused(port: int, length: str) -> None:
    assert ask(port, None, **{"Content-Length": length})[0] in (400, 411)


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_large_body_passes_by_and_is_refused(port: int) -> None:
    status, content = ask(port, b" " * 5_000_000)
    assert (status, content["expected"]) == (413, "A request body may have at most 2000 bytes")


def test_one_connection_serves_many_requests_even_after_a_refusal(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    statuses = []
    for body in (b'{"inputs": "a"}', b'{"inputs": 7}', b'{"inputs": "a"}'):
        connection.request("POST", "/predict", body)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        assert connection.sock is not None
    connection.close()
    assert statuses == [200, 400, 200]


def test_200_clients_at_once_all_get_their_own_answer(port: int, served: OnnxPipeline) -> None:
    texts = [f"the cat {'good ' * (index % 7)}{'bad ' * (index % 5)}"[:100] for index in range(200)]
    start = threading.Barrier(len(texts))

    def client(text: str) -> tuple[int, Any]:
        start.wait()
        return predict(port, text)

    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(client, texts))
    for text, (status, answer) in zip(texts, answers, strict=True):
        assert status == 200
        expected = {item["label"]: item["score"] for item in served(text, top_k=None)}
        assert {item["label"]: item["score"] for item in answer[0]} == pytest.approx(expected, abs=1e-5)
