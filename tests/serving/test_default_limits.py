"""The server as it is started by default, under everything that clients do to it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.server_client import ask, metric, predict

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Of a server in a process of its own, whose memory can be read, and whose log must stay empty."""
    command = [sys.executable, "-m", "optimum_ose.serving", str(folder), "--port", "0", "--num-threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        process.terminate()
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"inputs": "a', 400),
        (b'{"inputs": {"text": 7}}', 400),
        (b"", 400),
        (b"[" * 500_000, 400),
        (b'{"inputs": ' + b'{"text": ' * 50_000 + b'"a"' + b"}" * 50_001, 400),
        (json.dumps({"inputs": "a" * 10_000_000}).encode(), 413),
        (json.dumps({"inputs": ["a"] * 10_000}).encode(), 422),
        (json.dumps({"inputs": "a" * 100_001}).encode(), 422),
        (json.dumps({"inputs": "".join(map(chr, range(160)))}).encode(), 200),
        (json.dumps({"inputs": ["the cat " * 400] * 256}).encode(), 200),
    ],
    ids=["cut off", "type", "empty", "deep", "nested", "10 MB", "10,000 texts", "long", "control", "largest"],
)
def test_every_body_gets_its_status_and_the_server_goes_on(port: int, body: bytes, status: int) -> None:
    assert ask(port, body)[0] == status
    assert predict(port, "a good film")[0] == 200


def test_200_clients_with_large_bodies_leave_the_memory_bounded(port: int) -> None:
    before = metric(port, "process_resident_memory_bytes")
    with ThreadPoolExecutor(200) as pool:
        refused = list(pool.map(lambda _: ask(port, b" " * 3 * MEBIBYTE)[0], range(200)))
        answered = list(pool.map(lambda _: predict(port, "a good film")[0], range(200)))
    assert refused == [413] * 200
    assert answered == [200] * 200
    assert metric(port, "process_resident_memory_bytes") < before + 64 * MEBIBYTE
    assert metric(port, "ose_pending_bytes") == metric(port, "ose_queue_texts") == 0
