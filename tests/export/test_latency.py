"""A latency report is fair to every callable, and honest about what disturbed it."""

import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.export.latency import LatencyReport, measure_latency


def quiet() -> float:
    return 0.0


def busy_clock() -> Callable[[], float]:
    """Another process burns a second of CPU between any two looks."""
    seconds = itertools.count()
    return lambda: float(next(seconds))


def measure(clock: Callable[[], float | None], **settings: int) -> LatencyReport:
    return measure_latency({"a": int, "b": int}, block_seconds=0.0, foreign_clock=clock, **settings)


@settings(max_examples=25, deadline=None)
@given(num_runners=st.integers(1, 4), num_rounds=st.integers(1, 4), warmup=st.integers(0, 3))
def test_each_callable_gets_the_same_blocks_and_each_round_starts_with_another(
    num_runners: int, num_rounds: int, warmup: int
) -> None:
    calls: list[int] = []
    runners = {str(index): (lambda index=index: calls.append(index)) for index in range(num_runners)}
    report = measure_latency(runners, num_rounds=num_rounds, warmup=warmup, block_seconds=0.0, foreign_clock=quiet)
    timed = calls[num_runners * warmup :]
    rounds = [timed[start : start + num_runners] for start in range(0, len(timed), num_runners)]
    assert [order[0] for order in rounds] == [index % num_runners for index in range(num_rounds)]
    assert all(sorted(order) == list(range(num_runners)) for order in rounds)
    assert {latency.num_calls for latency in report.latencies.values()} == {num_rounds}
    assert list(report.latencies) == list(runners)


def test_the_figures_are_those_of_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = 0.0, itertools.cycle([0.002, 0.004, 0.009])

    def wait() -> None:
        nonlocal now
        now += next(waits)

    monkeypatch.setattr("optimum_ose.export.latency.time", SimpleNamespace(perf_counter=lambda: now))
    report = measure_latency({"a": wait}, num_rounds=30, warmup=3, block_seconds=0.0, foreign_clock=quiet)
    latency = report.latencies["a"]
    assert (latency.min_ms, latency.p50_ms, latency.p95_ms) == pytest.approx((2.0, 4.0, 9.0))
    assert latency.calls_per_second == pytest.approx(200.0)
    assert latency.num_calls == 30
    assert latency.round_p50_ms == pytest.approx((2.0, 4.0, 9.0) * 10)


def test_a_block_lasts_as_long_as_asked() -> None:
    start = time.perf_counter()
    report = measure_latency({"quick": int}, num_rounds=2, warmup=0, block_seconds=0.05, foreign_clock=quiet)
    assert time.perf_counter() - start >= 0.1
    assert report.latencies["quick"].num_calls > 100


def test_contended_blocks_are_discarded_up_to_the_bound_and_then_kept_and_told() -> None:
    report = measure(busy_clock(), num_rounds=3, max_discarded_blocks=4)
    assert (report.num_discarded_blocks, report.num_contended_blocks) == (4, 6)
    assert measure(busy_clock(), num_rounds=3).num_discarded_blocks == 6


def test_a_quiet_machine_discards_nothing_and_an_unknown_one_says_so() -> None:
    report = measure(quiet)
    assert (report.contention_checked, report.num_discarded_blocks, report.num_contended_blocks) == (True, 0, 0)
    report = measure(lambda: None)
    assert (report.contention_checked, report.num_discarded_blocks, report.num_contended_blocks) == (False, 0, 0)


def test_callables_take_turns_within_a_round() -> None:
    calls: list[str] = []
    runners = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    report = measure_latency(runners, num_rounds=1, num_turns=3, warmup=0, block_seconds=0.0, foreign_clock=quiet)
    assert "".join(calls) == "abbaab"
    assert report.latencies["a"].num_calls == 3


def test_times_of_the_clock_come_from_undisturbed_rounds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now, used = 0.0, 0.0
    waits = iter([5.0, 1.0, 1.0])

    def run() -> None:
        nonlocal now, used
        used += 1.0
        now += next(waits)

    monkeypatch.setattr("optimum_ose.export.latency.time", SimpleNamespace(perf_counter=lambda: now))
    report = measure_latency(
        {"a": run},
        num_rounds=3,
        warmup=0,
        block_seconds=0.0,
        max_discarded_blocks=0,
        foreign_clock=lambda: None,
        cpu_clock=lambda: used,
    )
    latency = report.latencies["a"]
    assert (report.undisturbed, report.contention_checked, report.num_contended_blocks) == (True, True, 1)
    assert latency.round_p50_ms == (1000.0, 1000.0)
    assert latency.round_cpu_ms == (1000.0,) * 3
    assert latency.cpu_ms == 1000.0


def test_cpu_times_of_repeated_rounds_count_too() -> None:
    used = iter([0.0, 2.0, 2.0, 3.0, 3.0, 7.0])
    report = measure_latency(
        {"a": int},
        num_rounds=1,
        warmup=0,
        block_seconds=0.0,
        max_discarded_blocks=2,
        foreign_clock=busy_clock(),
        cpu_clock=lambda: next(used),
    )
    assert report.latencies["a"].round_cpu_ms == (2000.0, 1000.0, 4000.0)
    assert report.latencies["a"].cpu_ms == 1000.0


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"at least one callable .*; got 0 callables and num_rounds=5\. Name"):
        measure_latency({})
    with pytest.raises(InvalidConfigError, match="num_rounds=0"):
        measure(quiet, num_rounds=0)
