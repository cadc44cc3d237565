"""Owns the walk over all model types of AutoModel: worker processes with a time and a memory limit, rows appended to a
csv file as they are known, and what tensors an output holds.
"""

import argparse
import contextlib
import csv
import multiprocessing
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

MAX_PARAMETERS = 1_500_000_000
"""Larger models are not given weights."""
MEMORY_BYTES = 14 << 30
TYPES_PER_PROCESS = 40
"""A worker is replaced after so many types: imported models stay in memory."""

Examine = Callable[[str], dict[str, Any]]
"""The row of one model type; a function of a module, so that a worker process can import it."""


def walk(
    examine: Examine, options: argparse.Namespace, *, fields: Sequence[str], detail: str
) -> tuple[list[dict[str, str]], bool]:
    """Examine the types that were asked for and are not finished yet; one line is printed for each.

    Args:
        examine: gives the row of a type.
        options: from `parse`.
        fields: columns of the csv file; `type`, `verdict` and `reason` among them.
        detail: column that is printed beside the verdict.

    Returns:
        All rows of the types that were asked for, and whether those are all that AutoModel knows.
    """
    types = options.types.split(",") if options.types else registered_types()
    done = {row["type"] for row in read_rows(options.output)}
    waiting = [name for name in types if name not in done]
    with options.output.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields)
        if file.tell() == 0:
            writer.writeheader()
        for row in _run_all(examine, waiting, jobs=options.jobs, timeout=options.timeout):
            writer.writerow({name: row.get(name, "") for name in fields})
            file.flush()
            print(f"{row['type']}: {row['verdict']} {row.get(detail, '')} {row.get('reason', '')[:120]}", flush=True)
    return [row for row in read_rows(options.output) if row["type"] in types], not options.types


def parse(description: str, *, output: str, timeout: float) -> argparse.Namespace:
    """The command line of a walk."""
    example = f"example: python benchmarks/{Path(output).stem}.py --types bert,llama,swin --jobs 1 --output {output}"
    parser = argparse.ArgumentParser(description=description, epilog=example)
    parser.add_argument("--types", help="model types, separated by commas; default: all that AutoModel knows")
    parser.add_argument("--jobs", type=int, default=1, help="types examined at the same time")
    parser.add_argument("--timeout", type=float, default=timeout, help="seconds after which a type is given up")
    parser.add_argument("--output", type=Path, default=Path(output), help="csv file; finished types are skipped")
    return parser.parse_args()


def registered_types() -> list[str]:
    """Model types that AutoModel knows."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return sorted(MODEL_MAPPING_NAMES)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows that are finished."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tensors_of(output: Any) -> list[Any]:
    """Every tensor that an output holds, in its order."""
    import torch

    if isinstance(output, torch.Tensor):
        return [output]
    items = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return [tensor for item in items for tensor in tensors_of(item)]


def one_line(error: BaseException) -> str:
    """Kind and message of an error, short."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _run_all(examine: Examine, types: Sequence[str], *, jobs: int, timeout: float) -> Iterator[dict[str, Any]]:
    """Rows in the order in which they finish; a type that takes too long or kills its process is a row too."""
    context = multiprocessing.get_context("spawn")
    queue = list(reversed(types))
    workers: dict[Connection, tuple[Any, str, float, int]] = {}
    while queue or workers:
        while queue and len(workers) < jobs:
            _start(context, workers, queue.pop(), examine)
        for connection in wait(list(workers), timeout=1):
            process, name, _, count = workers.pop(connection)
            try:
                yield connection.recv()
            except EOFError:
                process.join()
                yield {"type": name, "verdict": "failed", "reason": f"the process ended with {process.exitcode}"}
                continue
            if queue and count < TYPES_PER_PROCESS:
                name = queue.pop()
                connection.send(name)
                workers[connection] = (process, name, time.monotonic(), count + 1)
            else:
                connection.send(None)
                process.join()
        for connection, (process, name, started, _) in list(workers.items()):
            if time.monotonic() - started > timeout:
                process.kill()
                del workers[connection]
                yield {"type": name, "verdict": "failed", "reason": f"no answer after {timeout:.0f} s"}


def _start(context: Any, workers: dict[Connection, tuple[Any, str, float, int]], name: str, examine: Examine) -> None:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, examine))
    process.start()
    theirs.close()
    ours.send(name)
    workers[ours] = (process, name, time.monotonic(), 1)


def _work(connection: Connection, examine: Examine) -> None:
    """Examine what comes; standard output is silent, for transformers prints remarks on docstrings."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w", encoding="utf-8") as silence, contextlib.redirect_stdout(silence):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        torch.set_num_threads(1)
        while (name := connection.recv()) is not None:
            connection.send(examine(name))
