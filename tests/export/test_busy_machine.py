"""With a job on each core, no speed-up is told that a quiet machine contradicts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.export.benchmark import benchmark_formats
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.quantization import quantize_dynamic_int8
from optimum_ose.processes import num_usable_cores
from optimum_ose.report.speed import speed_sentence, speedup

SPIN = "import time; end = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


@pytest.fixture
def busy_cores() -> Iterator[None]:
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(num_usable_cores())]
    yield
    for process in spinning:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root, tokenizer = tmp_path_factory.mktemp("busy"), tiny_tokenizer()
    models = {
        "teacher": tiny_classifier(hidden_size=256, num_hidden_layers=6, intermediate_size=1024),
        "student": tiny_classifier(hidden_size=64, num_hidden_layers=2, intermediate_size=128),
    }
    for name, model in models.items():
        export_onnx(model, tokenizer, root / name)
        quantize_dynamic_int8(root / name)
    return {"models": models, "tokenizer": tokenizer, "root": root}


def measured(found: dict[str, Any]) -> dict[str, Any]:
    root: Path = found["root"]
    return benchmark_formats(
        found["models"]["teacher"],
        found["models"]["student"],
        tokenizer=found["tokenizer"],
        teacher_folder=root / "teacher",
        student_folder=root / "student",
        block_seconds=0.2,
        memory=False,
    )


@pytest.fixture(scope="module")
def quiet(folders: dict[str, Any]) -> dict[str, Any]:
    return measured(folders)


@pytest.mark.slow
def test_a_job_on_each_core_changes_no_speedup_that_is_told(
    folders: dict[str, Any], quiet: dict[str, Any], busy_cores: None
) -> None:
    busy = measured(folders)
    assert not busy["undisturbed"]
    for teacher in ("onnx-int8", "onnx-fp32"):
        before, told = (speedup(found, student="onnx-int8", teacher=teacher) for found in (quiet, busy))
        assert before is None or told is None or told == pytest.approx(before, rel=0.15)
    if told is None:
        assert "cannot be told" in speed_sentence(busy, "onnx-int8")
