"""The HTML page stands alone, and shows what people type as text."""

from pathlib import Path

import pytest

from optimum_ose.report.page import build_page
from optimum_ose.report.pareto import draw_pareto

SEARCH = {
    "certificate": {
        "statement": "W of the winner is at least 96.0% of the best",
        "satisfied": True,
        "violations": [],
        "num_trained": 1,
        "num_evaluations": 2,
        "ratio": 0.96,
        "assumption": "surrogate",
    },
    "winner": {
        "architecture": {"hidden_size": 8},
        "objectives": {"parameter_size": 10.0, "inference_cost": 5.0, "error": 0.5},
        "w": 1.0,
    },
    "evaluations": [],
    "pareto_front": [],
    "maximum_point": [20.0, 10.0],
    "settings": {},
    "space": {
        "axes": {"hidden_size": [8, 16]},
        "constraints": ["hidden_size is even"],
        "num_architectures": 1234,
        "maximum_point": {"hidden_size": 16},
    },
}
SIZE = {"parameters": 20, "parameters_without_embeddings": 10, "multiply_adds": 10, "sequence_length": 8}
LATENCY = {"format": "onnx-fp32", "p50_ms": 2.0, "p95_ms": 3.0, "size_bytes": 100}
SCORES = {name: {"accuracy": 0.9, "f1_macro": 0.9} for name in ("pytorch-fp32", "onnx-fp32")}
BENCHMARK = {
    "sizes": {"teacher": SIZE, "student": SIZE},
    "scores": {"teacher": SCORES, "student": SCORES},
    "latency": {
        "results": [{"model": "teacher", **LATENCY}, {"model": "student", **LATENCY}],
        "batch_size": 1,
        "sequence_length": 8,
        "num_threads": 1,
        "machine": {"cpu": "some processor", "cpu_flags": ["avx2"], "libraries": {"torch": "2"}},
    },
    "num_test_rows": 3,
    "default_file": "onnx/model.onnx",
    "default_reason": "int8 is not faster",
}


@pytest.fixture(scope="module")
def page() -> str:
    example = {"text": "<script>alert(1)</script>", "label": "good", "gold": "bad", "score": 0.75}
    return build_page(SEARCH, BENCHMARK, title="a & b", examples=[example], plot=draw_pareto(SEARCH))


def test_nothing_is_fetched_and_no_script_runs(page: str, tmp_path: Path) -> None:
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<h1>a &amp; b</h1>" in page


def test_it_says_what_was_found(page: str) -> None:
    for words in (
        "W of the winner is at least 96.0% of the best",
        "keeps 100.0% of the teacher",
        "1,234 architectures; 1 of them were trained, 2 trainings in all",
        "hidden_size is even",
        "good (0.75; labeled bad)",
        "cpu_flags: avx2",
        'src="data:image/png;base64,iVBOR',
    ):
        assert words in page
