"""An output folder as a run leaves it, and a Hub on this machine to push it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from export.tiny_text import save, tiny_classifier, tiny_tokenizer
from hub.loopback_hub import LoopbackHub, loopback_hub
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.quantization import quantize_dynamic_int8
from optimum_ose.hub.card import build_model_card
from optimum_ose.hub.facts import CardFacts


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Complete, and beside it everything that must stay on this machine."""
    path = tmp_path_factory.mktemp("output")
    export_onnx(tiny_classifier(), tiny_tokenizer(), save(tiny_classifier(), path))
    quantize_dynamic_int8(path)
    facts = CardFacts(model_name="tiny", license="apache-2.0", languages=("en",))
    (path / "README.md").write_text(build_model_card(facts))
    files = {
        "ose/search.json": "{}",
        "ose/journal.jsonl": "{}\n",
        "ose/benchmark.json": '{"default_file": "onnx/model.onnx"}',
        "ose/environment.json": "{}",
        "ose/pareto.png": "picture",
        "ose/run.json": '{"question": {}, "request": {"dataset": "mine"}, "stages": {}}',
        "ose/.journal.jsonl.tmp": "half",
        "onnx/.model.onnx.partial": "half",
        "checkpoints/step-1/config.json": "{}",
        "checkpoints/step-1/model.safetensors": "state",
        "teacher/model.safetensors": "teacher",
        "optimizer.pt": "state",
        ".env": "secret",
    }
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return path


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with loopback_hub() as running:
        yield running
