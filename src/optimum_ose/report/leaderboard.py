"""What the leaderboard of a benchmark would show of the student: its scores in percent, and their mean."""

from collections.abc import Iterator, Mapping
from typing import Any

from optimum_ose.data.benchmark_tasks import named_benchmark_task
from optimum_ose.report.metric_names import metric_label

_NOT_SHOWN = ("f1_m",)
"""Metrics that papers report and leaderboards do not."""


def leaderboard_sentences(benchmark: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for the test rows, each further split and each diagnostic set; none where no benchmark is named."""
    name = benchmark.get("benchmark_task")
    default = "onnx-int8" if "quantized" in benchmark["default_file"] else "onnx-fp32"
    if name is not None:
        yield _sentence(name, "the test rows", benchmark["scores"]["student"][default])
        for split, found in benchmark.get("further_scores", {}).items():
            yield _sentence(name, split, found["scores"]["student"][default])
    for other, found in benchmark.get("diagnostic_scores", {}).items():
        yield _sentence(other, f"{found['num_rows']:,} rows", found["scores"]["student"][default])


def _sentence(name: str, rows: str, scores: Mapping[str, float]) -> str:
    shown = [metric for metric in named_benchmark_task(name).metrics if metric in scores and metric not in _NOT_SHOWN]
    values = [100 * scores[metric] for metric in shown]
    mean = f", mean {sum(values) / len(values):.1f}" if len(values) > 1 else ""
    told = " / ".join(f"{value:.1f}" for value in values)
    return f"{name} on {rows}, in percent: {' / '.join(metric_label(metric) for metric in shown)} {told}{mean}."


def other_scores(benchmark: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and scores (of model, format and metric) of each set of rows that is scored beside the test rows."""
    for key in ("further_scores", "diagnostic_scores"):
        for name, found in benchmark.get(key, {}).items():
            yield name, found["scores"]
