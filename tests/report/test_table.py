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


def test_throughput_and_memory_are_shown() -> None:
    found = benchmark(sequences_per_second=1000.0, peak_memory_bytes=40e6)
    rows = {row[0]: row[1:] for row in comparison_rows(found)}
    assert rows["throughput, ONNX fp32, sequences/s"] == ("250.0", "1,000.0", "4.000")
    assert rows["peak memory, ONNX fp32, MB"] == ("80.0", "40.0", "0.500")


def test_what_an_older_folder_did_not_measure_is_left_out() -> None:
    titles = [row[0] for row in comparison_rows(benchmark())]
    assert not any("round" in title or "memory" in title or "CPU" in title for title in titles)


def test_a_ratio_of_the_clock_that_other_work_falsified_is_left_out() -> None:
    found = benchmark(sequences_per_second=1000.0)
    found["latency"]["undisturbed"] = False
    rows = {row[0]: row[1:] for row in comparison_rows(found)}
    assert rows["latency p50, ONNX fp32, ms (disturbed)"] == ("4.00", "1.00", "")
    assert rows["throughput, ONNX fp32, sequences/s (disturbed)"] == ("250.0", "1,000.0", "")


def test_a_score_that_is_missing_or_no_number_leaves_its_cell_empty() -> None:
    found = benchmark()
    found["scores"] = {
        "teacher": {"pytorch-fp32": {"accuracy": float("nan")}},
        "student": {"pytorch-fp32": {"accuracy": 0.5}, "onnx-fp32": {"accuracy": None}},
    }
    rows = {row[0]: row[1:] for row in comparison_rows(found)}
    assert rows["accuracy on test, PyTorch fp32"] == ("", "0.5000", "")
    assert rows["accuracy on test, ONNX fp32"] == ("", "", "")
