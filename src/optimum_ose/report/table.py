"""The comparison of teacher and student as a text table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optimum_ose.artifact import input_of
from optimum_ose.report.latency_text import bound_sentence
from optimum_ose.report.leaderboard import leaderboard_sentences, other_scores
from optimum_ose.report.metric_names import metric_label
from optimum_ose.report.speed import (
    FORMATS,
    disturbance_sentence,
    is_undisturbed,
    speed_sentence,
    speedup,
)

Row = tuple[str, str, str, str]
"""What, teacher, student, ratio."""


def main_metric(benchmark: Mapping[str, Any]) -> str:
    """The metric that decides; folders of earlier versions know one."""
    return str(benchmark.get("metric", "accuracy"))


def comparison_table(benchmark: Mapping[str, Any]) -> str:
    """Teacher and student side by side, from what `benchmark.json` holds, as text."""
    return "\n".join([*aligned(comparison_rows(benchmark)), "", *comparison_notes(benchmark)])


def comparison_rows(benchmark: Mapping[str, Any]) -> list[Row]:
    """The same as rows of (what, teacher, student, ratio), titles first."""
    sizes, scores = benchmark["sizes"], benchmark["scores"]
    rows: list[Row] = [("", "teacher", "student", "student / teacher")]
    metric = main_metric(benchmark)
    for name, label in FORMATS.items():
        if name in scores["student"]:
            rows.append(_row(f"{metric_label(metric)} on test, {label}", _of(scores, name, metric), "{:.4f}"))
    rows += [
        _row(f"{metric_label(other)} on test, PyTorch fp32", _of(scores, "pytorch-fp32", other), "{:.4f}")
        for other in scores["student"]["pytorch-fp32"]
        if other != metric
    ]
    for name, found in other_scores(benchmark):
        rows += [
            _row(f"{metric_label(score)} on {name}, {label}", _of(found, form, score), "{:.4f}")
            for form, label in FORMATS.items()
            if form in found["student"]
            for score in found["student"][form]
        ]
    for key, label in (
        ("parameters", "parameters"),
        ("parameters_without_embeddings", "parameters without embeddings"),
        ("multiply_adds", f"multiply-adds, {input_of(sizes['student'])}"),
    ):
        rows.append(_row(label, (sizes["teacher"][key], sizes["student"][key]), "{:,.0f}"))
    return [*rows, *_speed_rows(benchmark["latency"]), *_size_rows(benchmark["latency"])]


def _pairs(latency: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Format, its name for people, teacher's and student's entry, of every format that both have."""
    entries = {(row["model"], row["format"]): row for row in latency["results"]}
    for name, label in FORMATS.items():
        if ("teacher", name) in entries and ("student", name) in entries:
            yield name, label, entries["teacher", name], entries["student", name]


def _speed_rows(latency: Mapping[str, Any]) -> Iterator[Row]:
    """CPU time, then the times of the clock; a ratio that other processes falsified is left out."""
    for name, label, teacher, student in _pairs(latency):
        if teacher.get("cpu_ms") is not None and student.get("cpu_ms") is not None:
            ratio = speedup(latency, student=name, teacher=name)
            told = "cannot be told" if ratio is None else f"{1 / ratio:.3f}"
            yield f"CPU time, {label}, ms", f"{teacher['cpu_ms']:.3f}", f"{student['cpu_ms']:.3f}", told
    quiet = is_undisturbed(latency)
    for key, title, form in (
        ("p50_ms", "latency p50, {}, ms", "{:.2f}"),
        ("p95_ms", "latency p95, {}, ms", "{:.2f}"),
        ("sequences_per_second", "throughput, {}, sequences/s", "{:,.1f}"),
    ):
        for _, label, teacher, student in _pairs(latency):
            if key in teacher and key in student:
                row = _row(title.format(label), (teacher[key], student[key]), form)
                yield row if quiet else (f"{row[0]} (disturbed)", row[1], row[2], "")


def _size_rows(latency: Mapping[str, Any]) -> Iterator[Row]:
    """Size of the files and, where it was measured, peak memory."""
    for key, title in (("size_bytes", "size"), ("peak_memory_bytes", "peak memory")):
        for _, label, teacher, student in _pairs(latency):
            if teacher.get(key) is not None and student.get(key) is not None:
                yield _row(f"{title}, {label}, MB", (teacher[key] / 1e6, student[key] / 1e6), "{:,.1f}")


def comparison_notes(benchmark: Mapping[str, Any]) -> tuple[str, ...]:
    """How the rows were measured, and what they say in short."""
    setting = benchmark["latency"]
    how = (
        f"Latency: batch {setting['batch_size']}, {served_input(setting)}, "
        f"{setting['num_threads']} thread(s), interleaved in one run. "
        f"Test rows: {benchmark['num_test_rows']}, used once."
    )
    disturbed = disturbance_sentence(setting)
    bound = bound_sentence(benchmark["latency_bound"]) if "latency_bound" in benchmark else ""
    return (
        how,
        *headline(benchmark),
        *leaderboard_sentences(benchmark),
        *(sentence for sentence in (disturbed, bound) if sentence),
    )


def headline(benchmark: Mapping[str, Any]) -> tuple[str, ...]:
    """What people ask first: how much is kept, how much smaller, how much faster."""
    default = "onnx-int8" if "quantized" in benchmark["default_file"] else "onnx-fp32"
    sizes, metric = benchmark["sizes"], main_metric(benchmark)
    before = benchmark["scores"]["teacher"]["pytorch-fp32"][metric]
    score = benchmark["scores"]["student"][default][metric]
    share = sizes["student"]["parameters_without_embeddings"] / sizes["teacher"]["parameters_without_embeddings"]
    return (
        f"The student's {FORMATS[default]} file keeps {_kept(score, before)} of the teacher's {metric_label(metric)} "
        f"with {share:.1%} of its parameters without embeddings.",
        speed_sentence(benchmark["latency"], default),
        f"Default file: {benchmark['default_file']} ({benchmark['default_reason']}).",
    )


def _kept(score: float | None, before: float | None) -> str:
    if score is None or before is None or not before > 0 or not math.isfinite(score):
        return "an unknown share"
    return f"{score / before:.1%}"


def served_input(record: Mapping[str, Any]) -> str:
    """What was timed, as people read it: the size of images, or tokens and how many of the rows have no more."""
    share = record.get("share_of_rows")
    return input_of(record) + (f" ({share:.0%} of the test rows have no more)" if share else "")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _of(scores: Mapping[str, Any], format_name: str, metric: str) -> tuple[float | None, float | None]:
    return scores["teacher"].get(format_name, {}).get(metric), scores["student"][format_name].get(metric)


def _row(label: str, pair: tuple[float | None, float | None], form: str) -> Row:
    """A figure that is missing or no number leaves its cell and the ratio empty."""
    teacher, student = (value if value is not None and math.isfinite(value) else None for value in pair)
    cells = ["" if value is None else form.format(value) for value in (teacher, student)]
    ratio = f"{student / teacher:.3f}" if teacher and student is not None else ""
    return label, cells[0], cells[1], ratio
