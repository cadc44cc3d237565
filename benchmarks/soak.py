"""Minutes of good and bad requests at once against `serve`: is an answer lost, does memory grow?

python benchmarks/soak.py out --seconds 600

Exit code 1 if a good request was not answered as the pipeline answers it, a bad one got another status than it should,
or the resident memory grew by more than a tenth after the first fifth of the time.
"""

import argparse
import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from optimum_ose.serving import OnnxPipeline

FILE_NAME = "onnx/model.onnx"
"""Of fp32: int8 activations share a scale per batch, so that scores depend on what else was asked."""
HEAD = "{} {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
SENTENCE = "the what of a good how is film bad who many in year city was long river does short it"
IDLE_SECONDS = 30
BAD = {
    "malformed": (b'{"inputs": ', {400}),
    "wrong type": (b'{"inputs": {"text": [7]}}', {400}),
    "empty": (b"", {400}),
    "deep": (b"[" * 500_000, {400}),
    "ten megabytes": (b'{"inputs": "' + b"a" * 10_000_000 + b'"}', {413}),
    "ten thousand texts": (json.dumps({"inputs": ["a"] * 10_000}).encode(), {422}),
    "long text": (json.dumps({"inputs": "a " * 100_000}).encode(), {422}),
    "control characters": (json.dumps({"inputs": "".join(map(chr, range(32))) * 20}).encode(), {200}),
    "largest": (json.dumps({"inputs": ["the film " * 200] * 256}).encode(), {200, 504}),
}


class Soak:
    """The clients, and what they saw."""

    def __init__(self, port: int, pipeline: OnnxPipeline, seconds: float) -> None:
        self.port, self.pipeline, self.end = port, pipeline, time.monotonic() + seconds
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []
        self.memory: list[float] = []
        self.stopping = False
        rng, words = random.Random(0), SENTENCE.split()
        self.texts = [" ".join(rng.choices(words, k=rng.randint(1, 40))) for _ in range(300)]
        self.expected = [
            {item["label"]: item["score"] for item in answer} for answer in pipeline(self.texts, top_k=None)
        ]

    async def good(self, seed: int) -> None:
        """One client with one connection, whose every answer must be right."""
        rng, connection, answered = random.Random(seed), None, 0.0
        while not self.stopping:
            if connection and time.monotonic() - answered > IDLE_SECONDS / 2:  # this process was held up
                self.seen["reconnected"] += 1
                connection[1].close()
                connection = None
            indices = rng.sample(range(len(self.texts)), rng.choice((1, 1, 1, 8)))
            body = json.dumps({"inputs": [self.texts[index] for index in indices]}).encode()
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self.port)
                status, content, closing = await request(connection, body)
            except (OSError, asyncio.IncompleteReadError) as error:
                if not self.stopping:
                    self.faults.append(f"lost after {len(self.memory)} s: {error!r}")
                return
            answered = time.monotonic()
            self.seen[f"good {status}"] += 1
            answers = [{item["label"]: item["score"] for item in answer} for answer in json.loads(content)]
            wanted = [self.expected[index] for index in indices]
            if status != 200 or not all(map(close, answers, wanted)):
                self.faults.append(f"wrong: {status} {content[:200]!r}")
            if closing or rng.random() < 0.01:
                connection[1].close()
                connection = None
            await asyncio.sleep(rng.random() * 0.05)

    async def bad(self, seed: int) -> None:
        """One client that sends what must be refused, or is heavy."""
        rng = random.Random(seed)
        while not self.stopping:
            name = rng.choice(list(BAD))
            body, statuses = BAD[name]
            with suppress(ConnectionError):
                connection = await asyncio.open_connection("127.0.0.1", self.port)
                status, content, _ = await request(connection, body)
                connection[1].close()
                self.seen[f"{name} {status}"] += 1
                if status not in statuses | {503} or b"Traceback" in content:
                    self.faults.append(f"{name}: {status} {content[:200]!r}")
            await asyncio.sleep(rng.random())

    async def rude(self, seed: int) -> None:
        """One client that drips, goes away at any point, or never reads."""
        rng = random.Random(seed)
        while not self.stopping:
            whole = HEAD.format("POST", "/predict", 17).encode() + b'{"inputs": "abc"}'
            with suppress(ConnectionError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                for byte in whole[: rng.randint(0, len(whole))]:
                    if writer.is_closing():
                        break
                    writer.write(bytes([byte]))
                    await asyncio.sleep(rng.choice((0, 0, 0, 0.2)))
                self.seen["gone"] += 1
                writer.transport.abort()

    async def burst(self) -> None:
        """Every five seconds two hundred clients at once."""
        while not self.stopping:
            await asyncio.gather(*(self.once(index) for index in range(200)))
            await asyncio.sleep(5)

    async def once(self, index: int) -> None:
        """One client of a burst."""
        try:
            connection = await asyncio.open_connection("127.0.0.1", self.port)
            status, _, _ = await request(connection, json.dumps({"inputs": self.texts[index]}).encode())
        except (OSError, asyncio.IncompleteReadError) as error:
            if not self.stopping:
                self.faults.append(f"lost in a burst: {error!r}")
            return
        connection[1].close()
        self.seen[f"burst {status}"] += 1
        if status != 200:
            self.faults.append(f"burst: {status}")

    async def watch(self, process: subprocess.Popen[str]) -> None:
        """Sample the memory, and end the server at the end, in the middle of the load."""
        while time.monotonic() < self.end:
            connection = await asyncio.open_connection("127.0.0.1", self.port)
            _, content, _ = await request(connection, b"", "GET", "/metrics")
            connection[1].close()
            self.memory.append(float(re.search(rb"^process_resident_memory_bytes (\S+)", content, re.M)[1]))
            await asyncio.sleep(1)
        process.send_signal(signal.SIGTERM)
        self.stopping = True

    async def run(self, process: subprocess.Popen[str]) -> None:
        """All of them until the end."""
        good = (self.good(seed) for seed in range(12))
        bad = (self.bad(seed) for seed in range(2))
        rude = (self.rude(seed) for seed in range(8))
        await asyncio.gather(*good, *bad, *rude, self.burst(), self.watch(process))


async def request(connection, body: bytes, method: str = "POST", path: str = "/predict") -> tuple[int, bytes, bool]:
    """Status, body, and whether the server closes."""
    reader, writer = connection
    writer.write(HEAD.format(method, path, len(body)).encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(size), b"connection: close" in head


def close(one: dict[str, float], other: dict[str, float]) -> bool:
    """The same labels and, but for rounding, the same scores."""
    return one.keys() == other.keys() and all(abs(one[label] - other[label]) < 1e-4 for label in one)


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "optimum_ose.serving", str(arguments.folder), "--port", "0"]
    command += ["--file-name", FILE_NAME, "--num-threads", "1"]
    command += ["--request-seconds", "5", "--idle-seconds", str(IDLE_SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        pipeline = OnnxPipeline.from_pretrained(arguments.folder, file_name=FILE_NAME, num_threads=1)
        soak = Soak(port, pipeline, arguments.seconds)
        asyncio.run(soak.run(process))
        process.stdout.read()
    settled = soak.memory[len(soak.memory) // 5 :]
    growth = max(settled[len(settled) // 2 :]) / max(settled[: len(settled) // 2]) - 1
    for name, count in sorted(soak.seen.items()):
        print(f"{name:28} {count}")
    megabytes = [round(value / 2**20) for value in (soak.memory[0], settled[0], max(settled), settled[-1])]
    print(f"memory in MiB: first, after a fifth, most, last: {megabytes}; growth {growth:.1%}")
    print(f"exit code {process.returncode}; faults: {len(soak.faults)}", *soak.faults[:10], sep="\n")
    return int(bool(soak.faults) or growth > 0.1 or process.returncode != 143)


if __name__ == "__main__":
    sys.exit(main())
