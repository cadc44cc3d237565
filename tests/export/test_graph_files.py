"""Graphs beyond the limit of protobuf keep their weights in a file beside them, and appear whole or not at all."""

from pathlib import Path

import pytest
from transformers import T5Config, T5ForConditionalGeneration

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.configuration import ExportConfig
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.export import graph_files, onnx_export
from optimum_ose.export.formats import write_formats
from optimum_ose.export.graph_files import atomic_graph
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity
from optimum_ose.serving.graphs import stored_files

TOKENIZER = tiny_tokenizer()
EVERY_FORMAT = ExportConfig(weight_only=("int8", "int4"), half_weights=True)


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (graph_files, onnx_export):
        monkeypatch.setattr(module, "PROTOBUF_LIMIT", 20_000)


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "onnx").iterdir())


@pytest.mark.usefixtures("low_limit")
def test_every_format_of_a_large_model_has_its_weights_beside_it_and_computes_the_model(tmp_path: Path) -> None:
    model = tiny_classifier()
    write_formats(model, TOKENIZER, tmp_path, EVERY_FORMAT, calibration_rows=lambda: ())
    full = tmp_path / "onnx" / "model.onnx"
    assert (tmp_path / "onnx" / "model.onnx_data").stat().st_size > 20_000
    assert {"model_fp16.onnx_data", "model_quantized.onnx_data", "model_int8.onnx_data"} <= set(files_of(tmp_path))
    assert len(stored_files(full)) == 2
    check_parity(model, full, TOKENIZER)
    for name in ("model_quantized", "model_int8", "model_q4", "model_fp16"):
        check_parity(model, tmp_path / "onnx" / f"{name}.onnx", TOKENIZER, tolerance=0.5)


def test_a_smaller_model_removes_the_weights_of_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(graph_files, "PROTOBUF_LIMIT", 20_000)
        write_formats(tiny_classifier(), TOKENIZER, tmp_path, EVERY_FORMAT, calibration_rows=lambda: ())
    write_formats(tiny_classifier(), TOKENIZER, tmp_path, ExportConfig(), calibration_rows=lambda: ())
    assert files_of(tmp_path) == ["model.onnx", "model_quantized.onnx"]


def test_a_block_that_fails_leaves_the_old_graph_and_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    (tmp_path / "model.onnx_data").write_bytes(b"old weights")

    def interrupted() -> None:
        with atomic_graph(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["model.onnx", "model.onnx_data"]
    assert path.read_bytes() == b"old"


@pytest.mark.usefixtures("low_limit")
def test_a_large_model_with_a_decoder_of_its_own_is_refused_before_it_is_traced(tmp_path: Path) -> None:
    config = T5Config(vocab_size=len(TOKENIZER), d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    model = T5ForConditionalGeneration(config).eval()
    with pytest.raises(
        UnsupportedModelError, match=r"encoder and a decoder must stay below 2 GiB; .* Export a smaller"
    ):
        export_onnx(model, TOKENIZER, tmp_path)
    assert not (tmp_path / "onnx").exists()
