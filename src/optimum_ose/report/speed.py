"""How much faster the student is than the teacher, where a benchmark can tell."""

import statistics
from collections.abc import Mapping
from typing import Any

FORMATS = {"pytorch-fp32": "PyTorch fp32", "onnx-fp32": "ONNX fp32", "onnx-int8": "ONNX int8"}
"""Format -> its name for people."""
_MAX_SPREAD = 1.15
"""Of the ratios of the rounds, without the lowest and the highest of them."""


def speedup(latency: Mapping[str, Any], *, student: str, teacher: str) -> float | None:
    """How many times less CPU time the student needs than the teacher, or None if that cannot be told.

    It can be told where the rounds of the benchmark agree within 15%. A benchmark without CPU times, of several threads
    or of an older version, tells the ratio of its medians if no other process disturbed it.

    Args:
        latency: the `latency` part of `benchmark.json`.
        student: format of the student.
        teacher: format of the teacher.
    """
    entries = {(row["model"], row["format"]): row for row in latency["results"]}
    large, small = entries.get(("teacher", teacher)), entries.get(("student", student))
    if large is None or small is None:
        return None
    rounds = round_ratios(large, small)
    if not rounds:
        return float(large["p50_ms"] / small["p50_ms"]) if is_undisturbed(latency) else None
    middle = sorted(rounds)[1:-1] if len(rounds) > 2 else rounds
    return statistics.median(rounds) if max(middle) <= _MAX_SPREAD * min(middle) else None


def round_ratios(teacher: Mapping[str, Any], student: Mapping[str, Any]) -> list[float]:
    """Teacher / student of the CPU times of each round; empty if they were not measured."""
    pairs = zip(teacher.get("round_cpu_ms") or (), student.get("round_cpu_ms") or (), strict=True)
    return [large / small for large, small in pairs if small > 0]


def is_undisturbed(latency: Mapping[str, Any]) -> bool:
    """Whether the times of the clock were taken while no other process used the CPU."""
    return bool(latency.get("undisturbed", not latency.get("num_contended_blocks", 0)))


def speed_sentence(latency: Mapping[str, Any], default: str) -> str:
    """How much faster the student's default format is than the teacher's same format and than its fp32 formats."""
    others = list(dict.fromkeys((default, "onnx-fp32", "pytorch-fp32")))
    found = {name: speedup(latency, student=default, teacher=name) for name in others}
    told = [f"{_times(ratio)} than the teacher's {FORMATS[name]}" for name, ratio in found.items() if ratio is not None]
    if not told:
        return (
            f"How much faster the student's {FORMATS[default]} file is cannot be told: other work disturbed the "
            "measurement. Measure again on a quiet machine with `optimum-cli ose bench`."
        )
    return f"The student's {FORMATS[default]} file is {', '.join(told)} ({_quantity(latency)})."


def disturbance_sentence(latency: Mapping[str, Any]) -> str:
    """What other processes did to the figures; empty if nothing."""
    if not is_undisturbed(latency):
        return (
            "Other processes used the CPU in every round: latency and throughput by the clock are left out. Measure "
            "again on a quiet machine with `optimum-cli ose bench`."
        )
    contended = latency.get("num_contended_blocks", 0)
    return f"Other processes used the CPU during {contended} timing blocks, which do not count." if contended else ""


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x faster" if ratio >= 1 else f"{1 / ratio:.1f}x slower"


def _quantity(latency: Mapping[str, Any]) -> str:
    measured = any(row.get("round_cpu_ms") for row in latency["results"])
    return "CPU time of one thread" if measured else f"median latency, {latency['num_threads']} thread(s)"
