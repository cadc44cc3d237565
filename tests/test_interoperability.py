"""Other runtimes load what we export, and the benchmark of it notices when one answers otherwise."""

import shutil
import subprocess
import sys
from pathlib import Path

import interoperability
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.quantization import quantize_dynamic_int8
from optimum_ose.optimizer.folders import save_into

FP32, INT8 = "onnx/model.onnx", "onnx/model_quantized.onnx"
OURS = [{"good": 0.9, "bad": 0.1}, {"good": 0.4, "bad": 0.6}]
OTHER = [{"good": 0.8, "bad": 0.2}, {"good": 0.55, "bad": 0.45}]


def compare(answers: dict[str, object], *, pytorch: object = OURS) -> list[interoperability.Comparison]:
    return interoperability._compare("someone", answers, {FP32: OURS, INT8: OURS}, pytorch)


def test_another_top_label_of_the_same_file_is_a_fault() -> None:
    for file in (FP32, INT8):
        against_ours, _ = compare({file: OTHER})
        assert (against_ours.reference, against_ours.num_equal, against_ours.kept) == ("OnnxPipeline", 1, False)
        assert against_ours.largest_difference == pytest.approx(0.15)


def test_int8_may_answer_otherwise_than_pytorch_and_fp32_may_not() -> None:
    assert [row.kept for row in compare({FP32: OURS}, pytorch=OTHER)] == [True, False]
    assert [row.kept for row in compare({INT8: OURS}, pytorch=OTHER)] == [True, True]


def test_a_label_that_only_one_side_knows_is_an_error() -> None:
    with pytest.raises(KeyError, match="LABEL_0"):
        compare({FP32: [{"LABEL_0": 0.9, "LABEL_1": 0.1}, {"LABEL_0": 0.4, "LABEL_1": 0.6}]})


@pytest.mark.slow  # installs both runtimes
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs node and npm")
def test_transformers_js_and_ortmodel_answer_as_we_do(teacher_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    model = AutoModelForSequenceClassification.from_pretrained(teacher_folder)
    tokenizer = AutoTokenizer.from_pretrained(teacher_folder)
    save_into(model, tokenizer, folder)
    export_onnx(model, tokenizer, folder)
    quantize_dynamic_int8(folder)
    command = [sys.executable, interoperability.__file__, "--folder", folder, "--data", data_folder]
    done = subprocess.run([*command, "--rows", "20"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for runtime in ("transformers.js", "ortmodel"):
        for file in (FP32, INT8):
            assert f"| {runtime} | {file} | OnnxPipeline | 20 of 20 |" in done.stdout
