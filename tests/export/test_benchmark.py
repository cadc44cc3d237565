"""A benchmark tells size and speed of each model in each format."""

import json
from pathlib import Path

import pytest
import torch

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import ExportError
from optimum_ose.export.benchmark import benchmark_formats
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.quantization import quantize_dynamic_int8

TOKENIZER = tiny_tokenizer()
QUICK = {"num_rounds": 1, "block_seconds": 0.02}


def test_every_format_that_exists_is_timed_under_the_same_conditions(tmp_path: Path) -> None:
    teacher, student = tiny_classifier(hidden_size=128, num_hidden_layers=4).train(), tiny_classifier()
    for model, name in ((teacher, "teacher"), (student, "student")):
        export_onnx(model, TOKENIZER, tmp_path / name)
    quantized = quantize_dynamic_int8(tmp_path / "student")
    threads = torch.get_num_threads()
    report = benchmark_formats(
        teacher,
        student,
        tokenizer=TOKENIZER,
        teacher_folder=tmp_path / "teacher",
        student_folder=tmp_path / "student",
        batch_size=2,
        sequence_length=500,
        memory=False,
        **QUICK,
    )
    results = {(entry["model"], entry["format"]): entry for entry in report["results"]}
    assert list(results) == [
        ("teacher", "pytorch-fp32"),
        ("teacher", "onnx-fp32"),
        ("student", "pytorch-fp32"),
        ("student", "onnx-fp32"),
        ("student", "onnx-int8"),
    ]
    assert report["sequence_length"] == 64
    assert json.loads(json.dumps(report)) == report
    assert results["student", "onnx-int8"]["size_bytes"] == quantized.stat().st_size
    assert results["student", "pytorch-fp32"]["size_bytes"] == 4 * student.num_parameters()
    for entry in report["results"]:
        assert 0 < entry["min_ms"] <= entry["p50_ms"] <= entry["p95_ms"]
        assert entry["sequences_per_second"] < 2 * 1000 / entry["min_ms"] + 1
    assert results["teacher", "onnx-fp32"]["min_ms"] > results["student", "onnx-fp32"]["min_ms"]
    assert teacher.training
    assert not student.training
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_peak_memory_is_measured_per_format(tmp_path: Path) -> None:
    model = tiny_classifier()
    export_onnx(model, TOKENIZER, tmp_path)
    folders = {"teacher_folder": tmp_path, "student_folder": tmp_path}
    report = benchmark_formats(model, model, tokenizer=TOKENIZER, **folders, **QUICK)
    peaks = {entry["format"]: entry["peak_memory_bytes"] for entry in report["results"]}
    assert peaks["pytorch-fp32"] > peaks["onnx-fp32"] > 10e6


def test_a_missing_onnx_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"needs the teacher's onnx/model.onnx; .* has none\. Call export_onnx"):
        benchmark_formats(
            tiny_classifier(), tiny_classifier(), tokenizer=TOKENIZER, teacher_folder=tmp_path, student_folder=tmp_path
        )
