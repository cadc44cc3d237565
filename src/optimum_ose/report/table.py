"""The comparison of teacher and student as a text table."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from optimum_ose.artifact import input_of
from optimum_ose.report.latency_text import bound_sentence

FORMATS = {"pytorch-fp32": "PyTorch fp32", "onnx-fp32": "ONNX fp32", "onnx-int8": "ONNX int8"}
"""Format -> its name for people."""


METRICS = {
    "accuracy": "accuracy",
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "spearman": "Spearman's correlation",
    "pearson": "Pearson's correlation",
}
"""Metric -> its name for people."""


def main_metric(benchmark: Mapping[str, Any]) -> str:
    """The metric that decides; folders of earlier versions know one."""
    return str(benchmark.get("metric", "accuracy"))


def comparison_table(benchmark: Mapping[str, Any]) -> str:
    """Teacher and student side by side, from what `benchmark.json` holds, as text."""
    return "\n".join([*aligned(comparison_rows(benchmark)), "", *comparison_notes(benchmark)])


def comparison_rows(benchmark: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The same as rows of (what, teacher, student, ratio), titles first."""
    sizes, scores = benchmark["sizes"], benchmark["scores"]
    latency = {(row["model"], row["format"]): row for row in benchmark["latency"]["results"]}
    rows: list[tuple[str, str, str, str]] = [("", "teacher", "student", "student / teacher")]
    metric = main_metric(benchmark)
    for name, label in FORMATS.items():
        if name in scores["student"]:
            rows.append(_row(f"{METRICS[metric]} on test, {label}", _of(scores, name, metric), "{:.4f}"))
    rows += [
        _row(f"{METRICS[other]} on test, PyTorch fp32", _of(scores, "pytorch-fp32", other), "{:.4f}")
        for other in scores["student"]["pytorch-fp32"]
        if other != metric
    ]
    for key, label in (
        ("parameters", "parameters"),
        ("parameters_without_embeddings", "parameters without embeddings"),
        ("multiply_adds", f"multiply-adds, {input_of(sizes['student'])}"),
    ):
        rows.append(_row(label, (sizes["teacher"][key], sizes["student"][key]), "{:,.0f}"))
    for name, label in FORMATS.items():
        pair = [latency.get((model, name)) for model in ("teacher", "student")]
        if pair[0] is not None and pair[1] is not None:
            rows.append(_row(f"latency p50, {label}, ms", (pair[0]["p50_ms"], pair[1]["p50_ms"]), "{:.2f}"))
            rows.append(_row(f"latency p95, {label}, ms", (pair[0]["p95_ms"], pair[1]["p95_ms"]), "{:.2f}"))
    for name, label in FORMATS.items():
        pair = [latency.get((model, name)) for model in ("teacher", "student")]
        if pair[0] is not None and pair[1] is not None:
            rows.append(
                _row(f"size, {label}, MB", (pair[0]["size_bytes"] / 1e6, pair[1]["size_bytes"] / 1e6), "{:.1f}")
            )
    return rows + _throughput_rows(latency) + _paired_rows(latency)


def _throughput_rows(latency: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Sequences per second and, where it was measured, peak memory."""
    rows = []
    for key, title, unit, scale in (
        ("sequences_per_second", "throughput", "sequences/s", 1.0),
        ("peak_memory_bytes", "peak memory", "MB", 1e-6),
    ):
        for name, label in FORMATS.items():
            found = [latency.get((model, name), {}).get(key) for model in ("teacher", "student")]
            if found[0] is not None and found[1] is not None:
                rows.append(_row(f"{title}, {label}, {unit}", (found[0] * scale, found[1] * scale), "{:,.1f}"))
    return rows


def _paired_rows(latency: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Student / teacher of the medians of each round, timed one after the other: lowest, median and highest ratio."""
    rows = []
    for name, label in FORMATS.items():
        teacher, student = (latency.get((model, name), {}).get("round_p50_ms") for model in ("teacher", "student"))
        if teacher and student:
            ratios = [small / large for large, small in zip(teacher, student, strict=True)]
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
            rows.append((f"latency p50 round by round, {label}", "", spread, f"{statistics.median(ratios):.3f}"))
    return rows


def comparison_notes(benchmark: Mapping[str, Any]) -> tuple[str, ...]:
    """How the rows were measured, and what they say in short."""
    setting = benchmark["latency"]
    how = (
        f"Latency: batch {setting['batch_size']}, {input_of(setting)}, "
        f"{setting['num_threads']} threads, interleaved in one run. Test rows: {benchmark['num_test_rows']}, used once."
    )
    bound = (bound_sentence(benchmark["latency_bound"]),) if "latency_bound" in benchmark else ()
    return how, *headline(benchmark), *bound


def headline(benchmark: Mapping[str, Any]) -> tuple[str, ...]:
    """What people ask first: how much is kept, how much smaller, how much faster."""
    latency = {(row["model"], row["format"]): row["p50_ms"] for row in benchmark["latency"]["results"]}
    default = "onnx-int8" if "quantized" in benchmark["default_file"] else "onnx-fp32"
    sizes = benchmark["sizes"]
    metric = main_metric(benchmark)
    before = benchmark["scores"]["teacher"]["pytorch-fp32"][metric]
    kept = benchmark["scores"]["student"][default][metric] / before if before else float("nan")
    share = sizes["student"]["parameters_without_embeddings"] / sizes["teacher"]["parameters_without_embeddings"]
    speedup = latency["teacher", "onnx-fp32"] / latency["student", default]
    return (
        f"The student's {FORMATS[default]} file keeps {kept:.1%} of the teacher's {METRICS[metric]} with {share:.1%} "
        f"of its parameters without embeddings, {speedup:.1f}x faster than the teacher's ONNX fp32 file.",
        f"Default file: {benchmark['default_file']} ({benchmark['default_reason']}).",
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _of(scores: Mapping[str, Any], format_name: str, metric: str) -> tuple[float, float]:
    return scores["teacher"].get(format_name, {}).get(metric, float("nan")), scores["student"][format_name][metric]


def _row(label: str, pair: tuple[float, float], form: str) -> tuple[str, str, str, str]:
    teacher, student = pair
    return label, form.format(teacher), form.format(student), f"{student / teacher:.3f}" if teacher else ""
