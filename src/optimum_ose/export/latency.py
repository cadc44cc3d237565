"""Latency of several callables, measured in turns so that their ratios can be trusted."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.export.machine import foreign_cpu_seconds

_MAX_FOREIGN_SHARE = 0.08
"""Of one core, in one block. Measured: other work on two cores falsifies a figure by up to 6x."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Figures of one callable."""

    p50_ms: float
    """Median time of a call, milliseconds."""
    p95_ms: float
    """95th percentile, milliseconds."""
    min_ms: float
    """Shortest call, milliseconds."""
    calls_per_second: float
    """Throughput of calls one after the other."""
    num_calls: int
    """Calls that were timed."""
    round_p50_ms: tuple[float, ...] = ()
    """Median of each round's block: the k-th blocks of all callables were timed one after the other and make a pair."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """Figures of all callables of one interleaved run."""

    latencies: Mapping[str, Latency]
    """By name, in the order given."""
    contention_checked: bool
    """Whether the system tells how much CPU other processes use."""
    num_discarded_blocks: int
    """Blocks thrown away and repeated because other processes used the CPU."""
    num_contended_blocks: int
    """Blocks kept although other processes used the CPU, because too many had been discarded."""


def measure_latency(
    runners: Mapping[str, Callable[[], object]],
    *,
    num_rounds: int = 5,
    warmup: int = 3,
    block_seconds: float = 0.5,
    max_discarded_blocks: int | None = None,
    foreign_clock: Callable[[], float | None] = foreign_cpu_seconds,
) -> LatencyReport:
    """Time the callables in turns: one block of calls each per round, starting with another one each round.

    Args:
        runners: what to time, by name.
        num_rounds: blocks per callable, >= 1.
        warmup: untimed calls of each callable before the first round.
        block_seconds: length of a block; it holds at least one call.
        max_discarded_blocks: how many contended blocks to repeat in all; None: as many as are measured.
        foreign_clock: cumulative CPU seconds of other processes, or None if the system does not tell.

    Raises:
        InvalidConfigError: if there is nothing to time.
    """
    if not runners or num_rounds < 1:
        raise InvalidConfigError(
            "A measurement needs at least one callable and one round",
            f"got {len(runners)} callables and num_rounds={num_rounds}",
            "Name what to time, and raise num_rounds",
        )
    names = list(runners)
    for name in names:
        for _ in range(warmup):
            runners[name]()
    budget = num_rounds * len(names) if max_discarded_blocks is None else max_discarded_blocks
    blocks: dict[str, list[list[float]]] = {name: [] for name in names}
    discarded = contended = 0
    for first in range(num_rounds):
        for turn in range(len(names)):
            name = names[(first + turn) % len(names)]
            block, disturbed = _time_block(runners[name], block_seconds, foreign_clock)
            while disturbed and discarded < budget:
                discarded += 1
                block, disturbed = _time_block(runners[name], block_seconds, foreign_clock)
            contended += disturbed
            blocks[name].append(block)
    return LatencyReport(
        latencies={name: _summarize(blocks[name]) for name in names},
        contention_checked=foreign_clock() is not None,
        num_discarded_blocks=discarded,
        num_contended_blocks=contended,
    )


def _time_block(
    runner: Callable[[], object], block_seconds: float, foreign_clock: Callable[[], float | None]
) -> tuple[list[float], bool]:
    """Seconds of each call in one block, and whether other processes used the CPU meanwhile."""
    durations: list[float] = []
    foreign_before, start = foreign_clock(), time.perf_counter()
    now = start
    while not durations or now - start < block_seconds:
        runner()
        before, now = now, time.perf_counter()
        durations.append(now - before)
    foreign_after = foreign_clock()
    if foreign_before is None or foreign_after is None:
        return durations, False
    return durations, foreign_after - foreign_before > _MAX_FOREIGN_SHARE * (now - start)


def _summarize(blocks: list[list[float]]) -> Latency:
    durations = [duration for block in blocks for duration in block]
    p50, p95 = np.percentile(durations, [50, 95]) * 1000.0
    return Latency(
        p50_ms=float(p50),
        p95_ms=float(p95),
        min_ms=min(durations) * 1000.0,
        calls_per_second=len(durations) / sum(durations),
        num_calls=len(durations),
        round_p50_ms=tuple(float(np.median(block)) * 1000.0 for block in blocks),
    )
