"""`ose students`: one training, every size, and every further question."""

import json
from pathlib import Path

import pytest
import yaml

from optimum_ose.artifact import OSEArtifact
from optimum_ose.serving import OnnxPipeline
from runs import SETTINGS, Arguments, refused, run
from themes import THEMES

SEARCH = {
    "elastic": {"num_steps": 6, "batch_size": 8, "checkpoint_steps": 2},
    "num_eval_rows": 32,
    "sequence_length": 16,
    "max_parameters": 20_000,
    "axes": {"hidden_size": [8, 16], "num_hidden_layers": [1, 2], "num_attention_heads": [1]},
}


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, arguments: Arguments, teacher_folder: Path
) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("searched")
    settings = folder / "s.yaml"
    settings.write_text(yaml.safe_dump({**SETTINGS, "search": SEARCH}))
    with pytest.MonkeyPatch.context() as patched:
        run(patched, arguments(folder / "out", "extract", model=teacher_folder, config=settings))
    return folder / "out", ["students", str(folder / "out")]


def test_students_of_several_sizes_load_score_and_serve(
    searched: tuple[Path, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, words = searched
    before = OSEArtifact(folder).search.read_bytes(), OSEArtifact(folder).journal.read_bytes()
    run(monkeypatch, [*words, "--sizes", "3", "--output", str(tmp_path / "several")])
    assert (OSEArtifact(folder).search.read_bytes(), OSEArtifact(folder).journal.read_bytes()) == before
    records = json.loads((tmp_path / "several" / "students.json").read_text())
    assert 1 < len(records) <= 3
    printed = capsys.readouterr().out
    for name, record in records.items():
        assert name in printed
        answer = OnnxPipeline.from_pretrained(tmp_path / "several" / name)(["one two three"])
        assert answer[0]["label"] in THEMES
        assert 0 <= record["test_score"] <= 1
        assert record["parameters"] <= 20_000
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "several").glob("*/model.safetensors"))]
    run(monkeypatch, [*words, "--sizes", "3", "--output", str(tmp_path / "several")])  # finished: left as they are
    assert times == [path.stat().st_mtime_ns for path in sorted((tmp_path / "several").glob("*/model.safetensors"))]


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (["--max-parameters", "6000"], "W of the winner is at least 100.0%"),
        (["--keep", "0.5"], "the winner has the least parameters of"),
        (["--keep", "0.5", "--prefer", "latency"], "the winner has the least inference cost of"),
        (["--epsilon", "0.5"], "epsilon = 0.5"),
        (["--objective", "error"], "the least error of"),
    ],
)
def test_further_questions_are_answered_without_training(
    searched: tuple[Path, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    question: list[str],
    told: str,
) -> None:
    run(monkeypatch, [*searched[1], "--dry-run", *question])
    captured = capsys.readouterr()
    assert told in captured.out
    assert "elastic training" not in captured.err


def test_a_question_that_needs_another_training_is_refused(
    searched: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(monkeypatch, capsys, [*searched[1], "--max-parameters", "30000"])
    assert "max_parameters must be at most 20,000" in message
    assert "none has 10 parameters" in refused(monkeypatch, capsys, [*searched[1], "--sizes", "10,400"])


def test_a_folder_without_an_elastic_search_is_refused(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "holds certified" in refused(monkeypatch, capsys, ["students", str(finished)])
