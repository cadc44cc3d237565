"""How much faster the student is than the teacher, where a benchmark can tell."""

from collections.abc import Mapping
from typing import Any

FORMATS = {"pytorch-fp32": "PyTorch fp32", "onnx-fp32": "ONNX fp32", "onnx-int8": "ONNX int8"}
"""Format -> its name for people."""
_MAX_SPREAD = 1.1
"""Second least / least of the rounds: how well a second round must confirm the least CPU time."""


def speedup(latency: Mapping[str, Any], *, student: str, teacher: str) -> float | None:
    """How many times less CPU time the student needs than the teacher, or None if that cannot be told.

    Both are the least of all rounds, for other processes only add to it. The ratio can be told where a second round
    confirms each within 10%. A benchmark without CPU times, of several threads or of an older version, tells the ratio
    of its medians if no other process disturbed it.

    Args:
        latency: the `latency` part of `benchmark.json`.
        student: format of the student.
        teacher: format of the teacher.
    """
    entries = {(row["model"], row["format"]): row for row in latency["results"]}
    large, small = entries.get(("teacher", teacher)), entries.get(("student", student))
    if large is None or small is None:
        return None
    times = [sorted(entry.get("round_cpu_ms") or ()) for entry in (large, small)]
    if not all(times):
        return float(large["p50_ms"] / small["p50_ms"]) if is_undisturbed(latency) else None
    confirmed = all(found[min(1, len(found) - 1)] <= _MAX_SPREAD * found[0] for found in times)
    return float(times[0][0] / times[1][0]) if confirmed and times[1][0] > 0 else None


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
