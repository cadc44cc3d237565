"""What the server costs: its throughput beside the same session called in-process, and beside a transformers pipeline.

python benchmarks/serving.py out --transformers out

Every number of clients is measured in rounds, the session in-process directly before the server, so that both see the
same machine. In-process means: the same texts, in batches of the size that the server formed, tokenized, computed,
ranked and rendered as JSON. `--transformers` puts a PyTorch model behind the same server instead of the ONNX file.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import uvloop

CLIENTS = (1, 8, 64, 200)
WARM_SECONDS = 1.0
"""Until every client's requests are in turn; answers before do not count."""
SENTENCE = "what is the capital of a country where people speak french and who was first to walk on the moon"
MAX_BATCH, MAX_TOKENS = 32, 4096


def sentences() -> list[str]:
    """Texts of 4 to 24 words."""
    rng, words = random.Random(0), SENTENCE.split()
    return [" ".join(rng.choices(words, k=rng.randint(4, 24))) for _ in range(512)]


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it was answered; answers within the last seconds count."""

    def __init__(self, requests: list[bytes], start: int, end: float, seconds: float, seen: list[float]) -> None:
        self.requests, self.index, self.end, self.seconds, self.seen = requests, start, end, seconds, seen
        self.done = asyncio.get_running_loop().create_future()
        self.answer = b""
        self.began = 0.0

    def connection_made(self, transport) -> None:
        """Ask for the first time."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the next request, unless the time is over."""
        self.began = time.perf_counter()
        if self.began > self.end:
            self.transport.close()
            self.done.set_result(None)
            return
        self.transport.write(self.requests[self.index % len(self.requests)])
        self.index += 1

    def data_received(self, data: bytes) -> None:
        """Count an answer that is whole."""
        self.answer += data
        head, separator, body = self.answer.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.split(b"content-length: ")[1].split(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        now, self.answer = time.perf_counter(), b""
        if self.end - self.seconds < now < self.end:
            self.seen.append(now - self.began)
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail if answers were owed."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


async def load(port: int, num_clients: int, seconds: float, texts_per_request: int) -> list[float]:
    """Latencies of all requests of so many clients."""
    texts = sentences()
    groups = (texts[index : index + texts_per_request] for index in range(0, len(texts), texts_per_request))
    bodies = [json.dumps({"inputs": group}).encode() for group in groups]
    requests = [
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body for body in bodies
    ]
    latencies: list[float] = []
    loop, end = asyncio.get_running_loop(), time.perf_counter() + WARM_SECONDS + seconds
    clients = []
    for index in range(num_clients):
        make = partial(Client, requests, 7 * index, end, seconds, latencies)
        clients.append((await loop.create_connection(make, "127.0.0.1", port))[1])
    await asyncio.gather(*(client.done for client in clients))
    return latencies


def load_apart(port: int, num_clients: int, arguments: argparse.Namespace) -> tuple[float, list[float]]:
    """Requests per second and latencies; the clients run in a process of their own."""
    command = [sys.executable, __file__, "load", str(port), str(num_clients), str(arguments.seconds)]
    done = subprocess.run([*command, str(arguments.texts)], capture_output=True, text=True, check=True)
    latencies = json.loads(done.stdout)
    return len(latencies) / arguments.seconds, latencies


def in_process(pipeline, batch_size: int, seconds: float) -> float:
    """Texts per second of the session without a server."""
    texts = [(text, None) for text in sentences()]
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        batch = [texts[(done + index) % len(texts)] for index in range(batch_size)]
        for answer in pipeline.answers(batch, pipeline.rows(batch, batch_size=MAX_BATCH, max_tokens=MAX_TOKENS)):
            json.dumps([answer])
        done += batch_size
    return done / elapsed


@contextmanager
def server(command: list[str]):
    """The server's port, process id, and seconds until its first answer."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        with urlopen(f"http://127.0.0.1:{port}/predict", b'{"inputs": "a"}', timeout=60) as answer:
            answer.read()
        try:
            yield port, process.pid, time.perf_counter() - began
        finally:
            process.terminate()
            process.stdout.read()


def metrics(port: int) -> dict[str, float]:
    """Lines of /metrics."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def batch_size(before: dict[str, float], after: dict[str, float]) -> int:
    """Mean texts per batch between two readings."""
    texts, batches = (after[f"ose_batch_texts_{key}"] - before[f"ose_batch_texts_{key}"] for key in ("sum", "count"))
    return max(1, round(texts / batches))


def measure(port: int, pipeline, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """One row per number of clients: medians over the rounds."""
    rows = []
    for num_clients in CLIENTS:
        rounds, latencies, size = [], [], 1
        for index in range(arguments.rounds + 1):  # the first round tells the size of the batches
            before = metrics(port)
            alone = in_process(pipeline, size, arguments.seconds) if pipeline and index else 0.0
            served, seen = load_apart(port, num_clients, arguments)
            size = batch_size(before, metrics(port))
            if index:
                rounds.append((served * arguments.texts, alone))
                latencies += seen
        rows.append(
            {
                "clients": num_clients,
                "batch": size,
                "texts_per_second": statistics.median(served for served, _ in rounds),
                "in_process": statistics.median(alone for _, alone in rounds),
                "ratio": statistics.median(served / alone for served, alone in rounds) if pipeline else 0.0,
                "p50_ms": 1000 * statistics.median(latencies),
                "p95_ms": 1000 * sorted(latencies)[int(0.95 * len(latencies))],
            }
        )
        print({name: round(value, 2) for name, value in rows[-1].items()}, flush=True)
    return rows


def serve_transformers(folder: str) -> int:
    """A transformers pipeline behind the same server, until a signal."""
    import torch
    from transformers import pipeline

    from optimum_ose.serving.app import PredictionApp
    from optimum_ose.serving.server import PredictionServer, serve_until_signal

    torch.set_num_threads(1)
    model = pipeline("text-classification", model=folder, device="cpu", top_k=None)

    class Transformers:
        task = "text-classification"
        rereads_texts = False
        trial_text = "trial"

        @staticmethod
        def rows(pairs, **_bounds):
            return [Answer(item) for item in model([text for text, _ in pairs], truncation=True)]

        @staticmethod
        def answers(_pairs, rows, **_parameters):
            return [list(row) for row in rows]

        @staticmethod
        def require_rows():
            pass

        @staticmethod
        def check(_pairs):
            pass

        @staticmethod
        def answer_values(*_asked):
            return 0

    class Answer(list):
        size = 0

    served = PredictionServer(PredictionApp(Transformers(), name="transformers"), host="127.0.0.1", port=0)
    print(f"serving at http://127.0.0.1:{served.port}/predict", flush=True)
    return serve_until_signal(served)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--transformers", nargs="*", default=[], help="PyTorch models to put behind the same server")
    parser.add_argument("--num-threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--texts", type=int, default=1, help="texts per request")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    from optimum_ose.serving import OnnxPipeline

    pipeline = OnnxPipeline.from_pretrained(arguments.folder, num_threads=arguments.num_threads)
    options = ["--max-queue-texts", str(2 * CLIENTS[-1] * arguments.texts)]
    options += ["--port", "0", "--num-threads", str(arguments.num_threads), "--workers", str(arguments.workers)]
    with server([sys.executable, "-m", "optimum_ose.serving", str(arguments.folder), *options]) as (port, pid, cold):
        ours = measure(port, pipeline, arguments)
        memory = metrics(port)["process_resident_memory_bytes"] / 2**20
        mapped = Path(f"/proc/{pid}/maps").read_text()
        print(f"first answer after {cold:.2f} s, {memory:.0f} MiB resident, torch loaded: {'libtorch' in mapped}")
    for folder in arguments.transformers:
        print(f"a transformers pipeline of {folder} behind the same server:", flush=True)
        with server([sys.executable, __file__, "transformers", folder]) as (port, _, cold):
            theirs = measure(port, None, arguments)
            memory = metrics(port)["process_resident_memory_bytes"] / 2**20
            print(f"first answer after {cold:.2f} s, {memory:.0f} MiB resident")
        pairs = zip(ours, theirs, strict=True)
        print("ours to theirs:", [round(a["texts_per_second"] / b["texts_per_second"], 1) for a, b in pairs])


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        port, num_clients, seconds, texts = (float(value) for value in sys.argv[2:6])
        print(json.dumps(uvloop.run(load(int(port), int(num_clients), seconds, int(texts)))))
    elif sys.argv[1:2] == ["transformers"]:
        sys.exit(128 + serve_transformers(sys.argv[2]))
    else:
        main()
