"""Peak memory is that of a fresh process."""

import subprocess
from pathlib import Path

import pytest

from export.tiny_text import save, tiny_classifier, tiny_tokenizer
from optimum_ose.export.memory import peak_memory_bytes
from optimum_ose.export.onnx_export import export_onnx

SHAPE = {"batch_size": 2, "sequence_length": 16, "num_threads": 1}

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")


def test_a_larger_model_needs_more_memory_and_torch_is_not_in_the_figure(tmp_path: Path) -> None:
    small = export_onnx(tiny_classifier(), tiny_tokenizer(), tmp_path / "small")
    large = export_onnx(tiny_classifier(vocab_size=100_000, hidden_size=128), tiny_tokenizer(), tmp_path / "large")
    peaks = [peak_memory_bytes(path, **SHAPE) for path in (small, large)]
    assert peaks[0] is not None
    assert peaks[1] is not None
    assert peaks[1] - peaks[0] > 0.8 * (large.stat().st_size - small.stat().st_size)
    assert peaks[0] < 250e6


@pytest.mark.slow
def test_a_folder_is_loaded_by_pytorch(tmp_path: Path) -> None:
    peak = peak_memory_bytes(save(tiny_classifier(), tmp_path), **SHAPE)
    assert peak is not None
    assert peak > 250e6


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(subprocess.CalledProcessError):
        peak_memory_bytes(tmp_path / "model.onnx", **SHAPE)
