"""The examples run, and their figures are those that the papers state or that a formula gives."""

import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from optimum_ose.core.architecture import Architecture
from optimum_ose.modeling.bort import BORT_AS_SIZED, BORT_RELEASED, bort_search_space

ROOT = Path(__file__).parents[1]
PNG = b"\x89PNG\r\n\x1a\n"


def script(path: str) -> ModuleType:
    spec = util.spec_from_file_location(f"script_{Path(path).stem}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def toy() -> ModuleType:
    return script("examples/pruning_vs_ose.py")


@pytest.fixture(scope="module")
def bort() -> ModuleType:
    return script("examples/bort.py")


@pytest.fixture(scope="module")
def torus() -> ModuleType:
    return script("examples/agora_torus.py")


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return script("benchmarks/bort.py")


@pytest.mark.parametrize("seed", range(3))
def test_the_toy_goes_from_72_numbers_to_40_and_is_no_worse(toy: ModuleType, seed: int) -> None:
    found = toy.compare(seed)
    assert (found["size_of_t"], found["size"]) == (72, 40)
    assert found["result"].architecture == Architecture(hidden=3, outputs=2)
    assert found["result"].certificate.assumption == "exhaustive"
    assert found["error"] < 1.01 * found["error_of_t"]
    stored = {name: sum(m.size for b in net for m in (b.first, b.second)) for name, net in found["networks"].items()}
    assert stored == {"T": 72, "pruned": 72, "extracted": 40}


def test_pruning_stops_before_the_network_is_worse_than_agreed(toy: ModuleType) -> None:
    found = toy.compare()
    pruned = [matrix for block in found["networks"]["pruned"] for matrix in (block.first, block.second)]
    assert sum(int((matrix == 0).sum()) for matrix in pruned) == found["num_zeros"] > 0
    assert found["pruned_error"] <= toy.LEEWAY * found["error_of_t"]


def test_the_toy_draws_a_picture(toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pruning_vs_ose.py", "--output", str(tmp_path / "new" / "toy.png")])
    toy.main()
    assert (tmp_path / "new" / "toy.png").read_bytes().startswith(PNG)


def test_bort_has_300_candidates_and_both_tuples_are_among_them() -> None:
    space = bort_search_space()
    assert len(space) == 300
    assert BORT_RELEASED in space
    assert BORT_AS_SIZED in space
    assert tuple(BORT_RELEASED.values()) == (1024, 768, 8, 4)  # axes by name: hidden, intermediate, heads, layers
    assert tuple(BORT_AS_SIZED.values()) == (768, 1024, 8, 4)


@pytest.mark.parametrize("tuple_", [BORT_RELEASED, BORT_AS_SIZED])
def test_bort_s_counts_are_those_of_the_formulas(bort: ModuleType, tuple_: Architecture) -> None:
    space, length = bort_search_space(), 128
    layers, width, inner = tuple_.num_hidden_layers, tuple_.hidden_size, tuple_.intermediate_size
    encoder = layers * (4 * width**2 + 2 * width * inner + 9 * width + inner)
    embeddings = (50_265 + 512 + 1 + 2) * width
    pooler = width**2 + width
    assert bort.encoder_size(space, [tuple_]) == [encoder]
    assert space.parameter_size([tuple_]) == [encoder + embeddings + pooler]
    products = layers * (4 * length * width**2 + 2 * length**2 * width + 2 * length * width * inner)
    assert space.multiply_adds([tuple_], sequence_length=length) == [products + width**2]


def test_bort_s_shares_and_ratios(bort: ModuleType) -> None:
    space, bert = bort_search_space(), bort.bert_space()
    large, (base,) = bert.maximum_point, bert
    tuples = [BORT_RELEASED, BORT_AS_SIZED]
    released, sized, whole = bort.encoder_size(space, [*tuples, space.maximum_point])
    np.testing.assert_allclose([released / whole, sized / whole], [0.0764, 0.0521], atol=1e-4)
    np.testing.assert_allclose(space.parameter_size(tuples) / bert.parameter_size([large]), [0.227, 0.165], atol=1e-3)
    np.testing.assert_allclose(bert.multiply_adds([large]) / space.multiply_adds(tuples), [12.8, 18.7], atol=0.05)
    np.testing.assert_allclose(bert.multiply_adds([base]) / space.multiply_adds(tuples), [3.6, 5.3], atol=0.05)


def test_the_example_prints_what_it_counts_beside_what_was_published(
    bort: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bort.py"])
    assert bort.main() == 0
    printed = capsys.readouterr().out
    assert "300 valid candidates" in printed
    for figure in ("76.2", "55.4", "16.5%", "7.6%", "5.2%", "12.8x", "18.7x", "published: 20x faster"):
        assert figure in printed


def report(benchmark: ModuleType, milliseconds: dict[str, float]) -> object:
    latency = sys.modules["optimum_ose.export.latency"]
    latencies = {
        name: latency.Latency(p50_ms=ms, p95_ms=ms, min_ms=ms, calls_per_second=1000 / ms, num_calls=3)
        for name, ms in milliseconds.items()
    }
    return latency.LatencyReport(
        latencies=latencies, contention_checked=True, num_discarded_blocks=0, num_contended_blocks=0, undisturbed=True
    )


def times(benchmark: ModuleType, **by_model: tuple[float, float, float]) -> dict[str, float]:
    return {
        f"{name.replace('_', ' ').replace('BERT ', 'BERT-')} {kind}": ms
        for name, found in by_model.items()
        for kind, ms in zip(benchmark.FORMATS, found, strict=True)
    }


def test_the_benchmark_tells_where_a_claim_holds_and_which_bar_is_broken(benchmark: ModuleType) -> None:
    found = times(
        benchmark,
        BERT_large=(700.0, 320.0, 80.0),
        BERT_base=(79.0, 60.0, 20.0),
        Bort_as_released=(40.0, 16.0, 8.0),
        Bort_as_sized=(10.0, 12.0, 16.0),
    )
    reports = {1: report(benchmark, found)}
    lines, broken = benchmark.verdicts(reports)
    assert broken
    assert [line.endswith("BROKEN") for line in lines] == [False, False, True, True]
    claims = benchmark.claims(reports)
    assert "| Bort as released, batch 1 | BERT-large | 20.0x | 17.5x | 20.0x | 10.0x | onnx-fp32 |" in claims
    assert "| Bort as released, batch 1 | BERT-base | 7.9x | 2.0x | 3.8x | 2.5x | nowhere |" in claims
    assert "| Bort as sized, batch 1 | BERT-base | 7.9x | 7.9x | 5.0x | 1.2x | pytorch-fp32 |" in claims
    assert "| BERT-base | 79.0 (79.0) | 60.0 (60.0) | 20.0 (20.0) |" in benchmark.table(reports[1], 1)


@pytest.mark.slow
def test_the_benchmark_times_every_format_of_the_models_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "bort.py"), "--models", "Bort as sized", "TinyBERT-4"]
    command += ["--batch-sizes", "1", "--rounds", "1", "--block-seconds", "0.05", "--files", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| TinyBERT-4 |" in done.stdout
    assert (tmp_path / "bort-as-sized" / "onnx" / "model_quantized.onnx").is_file()


@pytest.mark.parametrize(
    "name", ["nearest neighbors", "random cuts", pytest.param("small network", marks=pytest.mark.slow)]
)
def test_agora_teaches_the_annulus_to_any_learner(torus: ModuleType, name: str) -> None:
    found = torus.study(name)
    assert found.accuracy_before < 0.8
    assert found.accuracy >= 0.99
    assert (found.betti_before, found.betti) == ((1, 0), (1, 1))
    assert len(found.scenes[0].points) == torus.NUM_POINTS["train"] < len(found.scenes[-1].points)


def test_the_torus_is_drawn_round_by_round(torus: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torus, "LEARNERS", {"nearest neighbors": torus.LEARNERS["nearest neighbors"]})
    monkeypatch.setattr(torus, "NUM_POINTS", {"train": 40, "development": 300, "labeler": 600, "test": 300})
    monkeypatch.setattr(sys, "argv", ["agora_torus.py", "--output", str(tmp_path / "new")])
    torus.main()
    pictures = sorted((tmp_path / "new").glob("round-*.png"))
    assert len(pictures) > 1
    assert all(path.read_bytes().startswith(PNG) for path in pictures)
    with Image.open(tmp_path / "new" / "agora_torus.gif") as animation:
        assert animation.n_frames == len(pictures)
