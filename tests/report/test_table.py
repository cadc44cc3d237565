"""The comparison holds everything that a benchmark measured, and pairs what was timed together."""

from typing import Any

from optimum_ose.report.table import comparison_rows

SIZE = {"parameters": 20, "parameters_without_embeddings": 10, "multiply_adds": 10, "sequence_length": 8}
SCORES = {name: {"accuracy": 0.9, "f1_macro": 0.9} for name in ("pytorch-fp32", "onnx-fp32")}


def benchmark(**student: Any) -> dict[str, Any]:
    teacher = {"p50_ms": 4.0, "p95_ms": 6.0, "size_bytes": 4e6, "sequences_per_second": 250.0}
    measured = {"peak_memory_bytes": 80e6, "round_p50_ms": [4.0, 8.0, 4.0]}
    return {
        "sizes": {"teacher": SIZE, "student": SIZE},
        "scores": {"teacher": SCORES, "student": SCORES},
        "latency": {
            "results": [
                {"model": "teacher", "format": "onnx-fp32", **teacher, **(measured if student else {})},
                {"model": "student", "format": "onnx-fp32", **teacher, "p50_ms": 1.0, **student},
            ]
        },
    }


def test_throughput_memory_and_the_ratio_of_each_round_are_shown() -> None:
    found = benchmark(sequences_per_second=1000.0, peak_memory_bytes=40e6, round_p50_ms=[1.0, 3.0, 1.2])
    rows = {row[0]: row[1:] for row in comparison_rows(found)}
    assert rows["throughput, ONNX fp32, sequences/s"] == ("250.0", "1,000.0", "4.000")
    assert rows["peak memory, ONNX fp32, MB"] == ("80.0", "40.0", "0.500")
    assert rows["latency p50 round by round, ONNX fp32"] == ("", "0.250 to 0.375", "0.300")


def test_what_an_older_folder_did_not_measure_is_left_out() -> None:
    titles = [row[0] for row in comparison_rows(benchmark())]
    assert not any("round" in title or "memory" in title for title in titles)
