"""A speed-up is told of undisturbed figures, with both formats named, or it is said that it cannot be told."""

from typing import Any

import pytest

from optimum_ose.report.speed import disturbance_sentence, speed_sentence, speedup

ROUNDS = {
    ("teacher", "pytorch-fp32"): [60.0, 61.0, 60.0, 59.0, 60.0],
    ("teacher", "onnx-fp32"): [40.0, 41.0, 40.0, 39.0, 40.0],
    ("teacher", "onnx-int8"): [16.0, 16.2, 16.0, 15.9, 16.0],
    ("student", "onnx-fp32"): [4.0, 4.0, 4.0, 4.0, 4.0],
    ("student", "onnx-int8"): [2.0, 2.0, 2.0, 2.0, 2.0],
}


def latency(rounds: dict[tuple[str, str], list[float]] | None = None, **record: Any) -> dict[str, Any]:
    results = [
        {"model": model, "format": form, "p50_ms": 9 * times[0], "round_cpu_ms": times}
        for (model, form), times in (rounds or ROUNDS).items()
    ]
    return {"results": results, "num_threads": 1, **record}


def test_the_sentence_names_both_formats_and_what_was_measured() -> None:
    assert speed_sentence(latency(), "onnx-int8") == (
        "The student's ONNX int8 file is 8.0x faster than the teacher's ONNX int8, 19.5x faster than the teacher's "
        "ONNX fp32, 29.5x faster than the teacher's PyTorch fp32 (CPU time of one thread)."
    )
    assert speed_sentence(latency(), "onnx-fp32").startswith(
        "The student's ONNX fp32 file is 9.8x faster than the teacher's ONNX fp32, 14.8x faster than"
    )


def test_a_student_that_is_slower_is_called_slower() -> None:
    slower = {("teacher", "onnx-fp32"): [2.0] * 5, ("student", "onnx-fp32"): [3.0] * 5}
    assert "is 1.5x slower than the teacher's ONNX fp32 (" in speed_sentence(latency(slower), "onnx-fp32")


def test_disturbed_rounds_change_nothing() -> None:
    rounds = {**ROUNDS, ("student", "onnx-int8"): [3.0, 2.0, 9.0, 2.1, 4.0]}
    assert speedup(latency(rounds), student="onnx-int8", teacher="onnx-fp32") == pytest.approx(39 / 2)


def test_rounds_that_confirm_no_figure_tell_no_ratio_but_how_to_measure_again() -> None:
    rounds = {**ROUNDS, ("student", "onnx-int8"): [2.0, 2.3, 3.0, 4.0, 2.5]}
    assert speedup(latency(rounds), student="onnx-int8", teacher="onnx-fp32") is None
    sentence = speed_sentence(latency(rounds), "onnx-int8")
    assert "cannot be told" in sentence
    assert "optimum-cli ose bench" in sentence
    assert "faster than" not in sentence


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"undisturbed": True}, 20.0),
        ({"undisturbed": False}, None),
        ({"num_contended_blocks": 0}, 20.0),
        ({"num_contended_blocks": 3}, None),
        ({"undisturbed": True, "num_contended_blocks": 3}, 20.0),
    ],
)
def test_without_cpu_times_the_clock_counts_only_if_nothing_disturbed_it(
    record: dict[str, Any], told: float | None
) -> None:
    found = latency(**record)
    for row in found["results"]:
        del row["round_cpu_ms"]
    assert speedup(found, student="onnx-int8", teacher="onnx-fp32") == told


def test_a_format_that_was_not_measured_has_no_ratio() -> None:
    assert speedup(latency(), student="onnx-fp16", teacher="onnx-fp32") is None


def test_disturbance_is_told() -> None:
    assert disturbance_sentence(latency(undisturbed=True, num_contended_blocks=0)) == ""
    assert "during 4 timing blocks, which do not count" in disturbance_sentence(
        latency(undisturbed=True, num_contended_blocks=4)
    )
    assert "in every round" in disturbance_sentence(latency(undisturbed=False, num_contended_blocks=9))
