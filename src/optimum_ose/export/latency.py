"""Latency of several callables, measured in turns so that their ratios can be trusted."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.export.machine import foreign_cpu_seconds

_MAX_FOREIGN_SHARE = 0.08
"""Of one core, in one round. Measured: other work on two cores falsifies a figure by up to 6x."""
_MAX_WAITING_SHARE = 0.08
"""Of a round's timed calls: time in which a callable that one thread computes did not run."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Figures of one callable. Times of the clock are taken from undisturbed rounds, where there is one."""

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
    """Median of each round: the k-th rounds of all callables were timed in turns and make a pair."""
    cpu_ms: float | None = None
    """Least CPU time of a call, milliseconds. None unless a CPU clock was given."""
    round_cpu_ms: tuple[float, ...] = ()
    """The least CPU time of a call in each round, those included that were repeated: other processes only add to it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """Figures of all callables of one interleaved run."""

    latencies: Mapping[str, Latency]
    """By name, in the order given."""
    contention_checked: bool
    """Whether it can be told that other processes use the CPU."""
    num_discarded_blocks: int
    """Blocks thrown away and repeated because other processes used the CPU. A round has one block per callable."""
    num_contended_blocks: int
    """Blocks kept although other processes used the CPU, because too many had been discarded."""
    undisturbed: bool
    """Whether the times of the clock come from rounds in which no other process used the CPU."""


@dataclass(slots=True)
class _Round:
    """What one round timed."""

    wall: dict[str, list[float]]
    """Seconds of each call, by name."""
    cpu: dict[str, list[float]]
    """CPU seconds of each call, by name; empty without a CPU clock."""
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class _Clocks:
    """Where times come from."""

    foreign: Callable[[], float | None]
    cpu: Callable[[], float] | None


def measure_latency(
    runners: Mapping[str, Callable[[], object]],
    *,
    num_rounds: int = 5,
    warmup: int = 3,
    block_seconds: float = 0.5,
    num_turns: int = 1,
    max_discarded_blocks: int | None = None,
    foreign_clock: Callable[[], float | None] = foreign_cpu_seconds,
    cpu_clock: Callable[[], float] | None = None,
) -> LatencyReport:
    """Time the callables in turns, starting with another one each time.

    A round gives each callable `block_seconds` of calls, in `num_turns` turns. A round that other processes disturbed
    is repeated.

    Args:
        runners: what to time, by name.
        num_rounds: rounds, >= 1.
        warmup: untimed calls of each callable before the first round.
        block_seconds: seconds of each callable in a round; a turn holds at least one call.
        num_turns: turns of each callable in a round, >= 1.
        max_discarded_blocks: how many contended blocks (one per round and callable) to repeat in all; None: as many as
            are measured.
        foreign_clock: cumulative CPU seconds of other processes, or None if the system does not tell.
        cpu_clock: cumulative CPU seconds of the one thread that computes every callable; None: there are several.

    Raises:
        InvalidConfigError: if there is nothing to time.
    """
    if not runners or num_rounds < 1:
        raise InvalidConfigError(
            "A measurement needs at least one callable and one round",
            f"got {len(runners)} callables and num_rounds={num_rounds}",
            "Name what to time, and raise num_rounds",
        )
    clocks = _Clocks(foreign_clock, cpu_clock)
    for runner in runners.values():
        for _ in range(warmup):
            runner()
    budget = num_rounds * len(runners) if max_discarded_blocks is None else max_discarded_blocks
    rounds, timed, discarded = [], [], 0
    for first in range(num_rounds):
        found = _time_round(runners, first, block_seconds, num_turns, clocks)
        while found.disturbed and discarded < budget:
            discarded += len(runners)
            timed.append(found)
            found = _time_round(runners, first, block_seconds, num_turns, clocks)
        rounds.append(found)
        timed.append(found)
    quiet = [found for found in rounds if not found.disturbed]
    return LatencyReport(
        latencies={name: _summarize(name, timed, quiet or rounds) for name in runners},
        contention_checked=foreign_clock() is not None or cpu_clock is not None,
        num_discarded_blocks=discarded,
        num_contended_blocks=(len(rounds) - len(quiet)) * len(runners),
        undisturbed=bool(quiet),
    )


def _time_round(
    runners: Mapping[str, Callable[[], object]], first: int, block_seconds: float, num_turns: int, clocks: _Clocks
) -> _Round:
    names = list(runners)
    found = _Round({name: [] for name in names}, {name: [] for name in names})
    foreign_before, start = clocks.foreign(), time.perf_counter()
    for turn in range(num_turns):
        for place in range(len(names)):
            name = names[(first + turn + place) % len(names)]
            _time_turn(runners[name], block_seconds / num_turns, clocks.cpu, found.wall[name], found.cpu[name])
    foreign_after, seconds = clocks.foreign(), time.perf_counter() - start
    if foreign_before is not None and foreign_after is not None:
        found.disturbed = foreign_after - foreign_before > _MAX_FOREIGN_SHARE * seconds
    if clocks.cpu is not None:
        wall, cpu = (sum(map(sum, times.values())) for times in (found.wall, found.cpu))
        found.disturbed |= wall - cpu > _MAX_WAITING_SHARE * wall
    return found


def _time_turn(
    runner: Callable[[], object],
    seconds: float,
    cpu_clock: Callable[[], float] | None,
    wall: list[float],
    cpu: list[float],
) -> None:
    """Append seconds and CPU seconds of each call in one turn."""
    start = now = time.perf_counter()
    first = True
    while first or now - start < seconds:
        first = False
        used = cpu_clock() if cpu_clock is not None else 0.0
        before = time.perf_counter()
        runner()
        now = time.perf_counter()
        wall.append(now - before)
        if cpu_clock is not None:
            cpu.append(cpu_clock() - used)


def _summarize(name: str, timed: Sequence[_Round], counted: Sequence[_Round]) -> Latency:
    """Figures of one callable: times of the clock from the rounds that count, CPU times from all."""
    durations = [seconds for found in counted for seconds in found.wall[name]]
    p50, p95 = np.percentile(durations, [50, 95]) * 1000.0
    cpu = [min(found.cpu[name]) * 1000.0 for found in timed if found.cpu[name]]
    return Latency(
        p50_ms=float(p50),
        p95_ms=float(p95),
        min_ms=min(durations) * 1000.0,
        calls_per_second=len(durations) / sum(durations),
        num_calls=len(durations),
        round_p50_ms=tuple(float(np.median(found.wall[name])) * 1000.0 for found in counted),
        cpu_ms=min(cpu, default=None),
        round_cpu_ms=tuple(cpu),
    )
