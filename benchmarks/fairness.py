"""How much hostile clients take from the others of a server: good clients alone, then beside hostile ones, in turns.

python benchmarks/fairness.py out --good 200 --hostile 12

A good client asks for one short text, waits for the answer and asks again. A hostile one sends the largest request that
is taken, 256 long texts, again and again. Printed is the throughput of the good clients beside the hostile ones as a
share of that without them, the median over the rounds. Exit code 1 if a good request was not answered with 200.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

HEAD = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
GOOD = json.dumps({"inputs": "the film was good"}).encode()
HOSTILE = json.dumps({"inputs": ["the film " * 200] * 256}).encode()
LOST = (OSError, asyncio.IncompleteReadError)


async def client(port: int, body: bytes, seen: Counter[int], end: float) -> None:
    """One connection that asks until the end; another one if the server closes it."""
    connection = None
    while time.monotonic() < end:
        try:
            reader, writer = connection or await asyncio.open_connection("127.0.0.1", port)
            connection = reader, writer
            writer.write(HEAD.format(len(body)).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        except LOST:
            seen[0] += time.monotonic() < end
            connection = None
            continue
        if time.monotonic() < end:
            seen[int(head.split()[1])] += 1
        if b"connection: close" in head:
            writer.close()
            connection = None
    if connection:
        connection[1].transport.abort()


async def crowd(port: int, body: bytes, number: int, seconds: float) -> Counter[int]:
    """Statuses of the answers to some clients; 0 stands for none."""
    end, seen = time.monotonic() + seconds, Counter[int]()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds + 5):
            await asyncio.gather(*(client(port, body, seen, end) for _ in range(number)))
    return seen


def answered(port: int, body: bytes, number: int, seconds: float) -> Counter[int]:
    """`crowd`, in this process."""
    return asyncio.run(crowd(port, body, number, seconds))


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--good", type=int, default=200)
    parser.add_argument("--hostile", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each half of a round")
    options = parser.parse_args()
    command = [sys.executable, "-m", "optimum_ose.serving", str(options.folder), "--port", "0", "--num-threads", "1"]
    shares, statuses, kept = [], Counter(), Counter()
    own = get_context("spawn")  # hostile clients take no time of the good ones' process
    with ProcessPoolExecutor(1, own) as pool, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
            for number in range(options.rounds):
                rates = []
                for hostile in (0, options.hostile):
                    beside = pool.submit(answered, port, HOSTILE, hostile, options.seconds)
                    seen = answered(port, GOOD, options.good, options.seconds)
                    rates.append(seen[200] / options.seconds)
                    statuses, kept = statuses + seen, kept + beside.result()
                shares.append(rates[1] / rates[0])
                print(
                    f"round {number}: {rates[0]:,.0f} answers/s alone, {rates[1]:,.0f} beside hostile clients",
                    flush=True,
                )
        finally:
            process.terminate()
    print(
        f"good clients keep {statistics.median(shares):.0%} of their answers ({min(shares):.0%} to {max(shares):.0%})"
    )
    print(f"statuses of good requests {dict(statuses)}, of hostile ones {dict(kept)}")
    return int(set(statuses) != {200})


if __name__ == "__main__":
    sys.exit(main())
