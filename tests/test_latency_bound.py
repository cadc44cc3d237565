"""A bound on the latency narrows the search, the winner is measured, and what misses the bound is refused or told."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Value

from optimum_ose import OSEOptimizer, SearchConfig
from optimum_ose.__main__ import main
from optimum_ose.artifact import OSEArtifact
from optimum_ose.commands.summary import print_summary, require_bounds_kept
from optimum_ose.configuration.latency import LatencySetting
from optimum_ose.configuration.reading import config_from_dict
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.results import SearchResult
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError, LatencyBoundError
from optimum_ose.optimizer.latency import LatencyFinding
from optimum_ose.serialization import canonical_line, config_to_dict
from themes import THEMES, theme_table

SETTING = {"num_threads": 1, "num_candidates": 8, "num_rounds": 3, "block_seconds": 0.004}
AXES = {
    "num_hidden_layers": (1, 2, 3),
    "hidden_size": (16, 32),
    "num_attention_heads": (4,),
    "intermediate_size": (16, 64),
}
SEARCH = {"max_training_steps": 1, "max_evaluations": 3, "num_eval_rows": 16, "sequence_length": 16, "noise": 0.0}
AMPLE_MS = 1e6


def themes(num_rows: int, seed: int) -> Dataset:
    table = theme_table(num_rows, seed)
    labels = [list(THEMES).index(theme) for theme in table["label"]]
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(THEMES))})
    return Dataset.from_dict({"text": table["text"].to_list(), "label": labels}, features=features)


@pytest.fixture(scope="module")
def optimizer(teacher_folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(teacher_folder, max_length=32)


def extract(optimizer: OSEOptimizer, journal: Path, **changes: Any) -> tuple[SearchResult, LatencyFinding]:
    config = SearchConfig(**{**SEARCH, "axes": AXES, "latency": LatencySetting(**SETTING), **changes})
    result = optimizer.extract(config, train_dataset=themes(40, 1), eval_dataset=themes(20, 2), journal=journal)
    assert optimizer.latency is not None
    return result, optimizer.latency


@pytest.fixture(scope="module")
def searched(optimizer: OSEOptimizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a search that measured for real; to be read only."""
    journal = tmp_path_factory.mktemp("searched") / "journal.jsonl"
    extract(optimizer, journal, max_latency_ms=AMPLE_MS)
    return journal


def told(optimizer: OSEOptimizer, result: SearchResult, finding: LatencyFinding) -> str:
    space = optimizer.search_space(SearchConfig(axes=AXES))
    return canonical_line([result, finding.to_dict(space, result.architecture)])


def retimed(
    searched: Path,
    path: Path,
    latency_ms: Callable[[Architecture, int], float],
    optimizer: OSEOptimizer,
    *,
    errors: Mapping[Architecture, float] = MappingProxyType({}),
) -> Path:
    """A journal in which all candidates have been measured, at latencies (by round) and with errors of our choice."""
    lines = [json.loads(line) for line in searched.read_text().splitlines()]
    pattern = next(line for line in lines if "p50_ms" in line)
    blocks = [
        {**pattern, "architecture": dict(item), "round": turn, "contended": False, "p50_ms": latency_ms(item, turn)}
        for item in optimizer.search_space(SearchConfig(axes=AXES))
        for turn in range(3)
    ]
    trainings = [
        {
            "architecture": dict(candidate),
            "theta": dict(SearchConfig().hyperparameters[0]),
            "replicate": 0,
            "error": error,
            "failure": None,
        }
        for candidate, error in errors.items()
    ]
    path.write_text("".join(canonical_line(line) + "\n" for line in [lines[0], *blocks, *trainings]))
    return path


def by_size(candidate: Architecture, turn: int = 0) -> float:
    return 1.0 + candidate.num_hidden_layers * candidate.hidden_size * (candidate.hidden_size + 0.5) / 1000


def test_a_bound_that_all_keep_admits_all_and_the_winner_is_measured(optimizer: OSEOptimizer, searched: Path) -> None:
    result, finding = extract(optimizer, searched, max_latency_ms=AMPLE_MS)
    space = optimizer.search_space(SearchConfig(axes=AXES))
    assert finding.num_admitted == len(space) == 12
    assert len(finding.measured) == 8
    smallest = Architecture(num_hidden_layers=1, hidden_size=16, num_attention_heads=4, intermediate_size=16)
    assert {space.maximum_point, smallest} <= set(finding.measured)
    assert finding.winner is not None
    assert 0 < finding.winner.latency_ms < AMPLE_MS
    assert result.architecture in space


def test_a_resumed_search_measures_nothing_and_gives_the_same_bytes(
    optimizer: OSEOptimizer, searched: Path, tmp_path: Path
) -> None:
    first = told(optimizer, *extract(optimizer, searched, max_latency_ms=AMPLE_MS))
    before = searched.read_bytes()
    assert told(optimizer, *extract(optimizer, searched, max_latency_ms=AMPLE_MS)) == first
    assert searched.read_bytes() == before
    copy = tmp_path / "journal.jsonl"
    copy.write_bytes(
        b"".join(line for line in before.splitlines(keepends=True) if b"p50_ms" in line or b"quest" in line)
    )
    assert told(optimizer, *extract(optimizer, copy, max_latency_ms=AMPLE_MS)) == first
    assert copy.read_bytes().count(b"p50_ms") == before.count(b"p50_ms")


def test_only_candidates_whose_prediction_with_margin_keeps_the_bound_are_trained(
    optimizer: OSEOptimizer, searched: Path, tmp_path: Path
) -> None:
    journal = retimed(searched, tmp_path / "journal.jsonl", by_size, optimizer)
    result, finding = extract(optimizer, journal, max_latency_ms=2.0, max_evaluations=12)
    space = optimizer.search_space(SearchConfig(axes=AXES))
    bounds = dict(zip(space, finding.model.upper_bound(space.candidates.columns), strict=True))
    assert {item.architecture for item in result.evaluations} <= {key for key, bound in bounds.items() if bound <= 2.0}
    assert finding.num_admitted == sum(bound <= 2.0 for bound in bounds.values()) < len(space)
    assert finding.model.worst_error < 0.01


@pytest.mark.parametrize(("slow_rounds", "median_ms"), [({0, 1, 2}, 9.0), ({1}, 1.0)])
def test_a_winner_that_misses_the_bound_in_any_round_gives_way_to_the_next_best(
    optimizer: OSEOptimizer, searched: Path, tmp_path: Path, slow_rounds: set[int], median_ms: float
) -> None:
    space = optimizer.search_space(SearchConfig(axes=AXES))
    journal = retimed(searched, tmp_path / "journal.jsonl", by_size, optimizer)
    _, finding = extract(optimizer, journal, max_latency_ms=4.5)
    best, next_best = [candidate for candidate in space if candidate not in finding.measured][:2]
    errors = dict.fromkeys(space, 1.0) | {best: 1e-5, next_best: 1e-2}
    journal = retimed(
        searched,
        tmp_path / "again.jsonl",
        lambda found, turn: (9.0 if turn in slow_rounds else 1.0) if found == best else by_size(found),
        optimizer,
        errors=errors,
    )
    result, finding = extract(optimizer, journal, max_latency_ms=4.5, method="exhaustive", max_evaluations=None)
    found = [(key, item.latency_ms, item.slowest_ms) for key, item in finding.refused.items()]
    assert found == [(best, median_ms, 9.0)]
    assert result.architecture == next_best
    assert finding.winner is not None
    assert finding.winner.latency_ms == by_size(next_best)


def test_a_bound_below_the_smallest_candidate_names_the_smallest_possible_latency(
    optimizer: OSEOptimizer, searched: Path, tmp_path: Path
) -> None:
    journal = retimed(searched, tmp_path / "journal.jsonl", by_size, optimizer)
    with pytest.raises(
        InfeasibleError,
        match=r"keeps max_latency_ms=0\.5; the smallest possible latency is 1\.2\d ms, predicted for 12 .*Raise max",
    ):
        extract(optimizer, journal, max_latency_ms=0.5)


def test_latency_can_be_the_cost_in_w(optimizer: OSEOptimizer, searched: Path, tmp_path: Path) -> None:
    journal = retimed(searched, tmp_path / "journal.jsonl", by_size, optimizer)
    result, finding = extract(optimizer, journal, inference_cost="latency", max_evaluations=12)
    for item in result.evaluations:
        assert item.objectives.inference_cost == pytest.approx(by_size(item.architecture), rel=0.01)
    assert finding.winner is None
    assert finding.to_dict(optimizer.search_space(SearchConfig(axes=AXES)), result.architecture)["num_admitted"] is None


def test_a_space_too_small_for_a_model_is_refused(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="search space of at least 8 candidates; this one has 3. Give an axis"):
        extract(
            optimizer,
            tmp_path / "journal.jsonl",
            max_latency_ms=1.0,
            axes={**AXES, "hidden_size": (16,), "intermediate_size": (16,)},
        )


def test_without_a_bound_nothing_is_measured(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    config = SearchConfig(**SEARCH, axes=AXES)
    optimizer.extract(
        config, train_dataset=themes(40, 1), eval_dataset=themes(20, 2), journal=tmp_path / "journal.jsonl"
    )
    assert optimizer.latency is None
    assert "p50_ms" not in (tmp_path / "journal.jsonl").read_text()


def test_the_setting_survives_json() -> None:
    config = SearchConfig(latency=LatencySetting(precision="int8", num_threads=2), inference_cost="latency")
    assert config_from_dict(SearchConfig, json.loads(json.dumps(config_to_dict(config)))) == config
    with pytest.raises(InvalidConfigError, match="inference_cost must be multiply-adds or latency; got 'joules'"):
        SearchConfig(inference_cost="joules")
    with pytest.raises(
        InvalidConfigError, match=r"latency\.theads must be one of the .* of LatencySetting; .*got theads"
    ):
        config_from_dict(SearchConfig, {"latency": {"theads": 2}})


@pytest.fixture(scope="module")
def words(
    teacher_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path, float], list[str]]:
    settings = tmp_path_factory.mktemp("settings") / "ose.yaml"
    content = {
        "max_length": 32,
        "search": {**SEARCH, "latency": SETTING},
        "distillation": {"num_steps": 2},
        "agora": None,
        "student_arguments": {"num_train_epochs": 1},
        "export": {"block_seconds": 0.01},
    }
    settings.write_text(yaml.safe_dump(content))

    def make(output: Path, limit: float) -> list[str]:
        named = {"model": teacher_folder, "dataset": data_folder, "config": settings, "output": output}
        pairs = [part for name, value in named.items() for part in (f"--{name}", str(value))]
        return ["optimum_ose", "run", *pairs, "--max-latency-ms", str(limit)]

    return make


def test_a_run_tells_the_bound_in_search_benchmark_card_and_on_the_terminal(
    words: Callable[[Path, float], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", words(output, AMPLE_MS))
    main()
    kept = "The student keeps max_latency_ms=1e+06: onnx/"
    assert kept in capsys.readouterr().out
    assert kept in (output / "README.md").read_text()
    search = json.loads((output / "ose" / "search.json").read_text())
    bound = json.loads((output / "ose" / "benchmark.json").read_text())["latency_bound"]
    assert search["latency"]["winner"]["latency_ms"] > 0
    assert np.isclose(search["latency"]["winner"]["predicted_ms"], bound["predicted_ms"])
    assert search["latency"]["model"]["margin"] == bound["margin"]
    assert (bound["kept"], bound["conditions"]["num_threads"]) == (True, 1)
    assert [path.name for path in (output / "ose").glob(".*")] == [".lock"]

    benchmark = json.loads((output / "ose" / "benchmark.json").read_text())
    benchmark["latency_bound"] |= {"kept": False, "measured_ms": 2 * AMPLE_MS}
    (output / "ose" / "benchmark.json").write_text(json.dumps(benchmark))
    print_summary(OSEArtifact(output))
    assert "MISSES max_latency_ms=1e+06" in capsys.readouterr().out
    with pytest.raises(LatencyBoundError, match=r"finished student keeps max_latency_ms=1e\+06; The student MISSES"):
        require_bounds_kept(OSEArtifact(output))


def test_a_bound_that_nothing_keeps_ends_with_code_2_and_the_smallest_latency(
    words: Callable[[Path, float], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", words(tmp_path / "out", 1e-9))
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "the smallest possible latency is" in capsys.readouterr().err
