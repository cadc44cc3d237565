"""A whole run with the elastic method, and a second question answered from the first one's training."""

from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

from optimum_ose.artifact import OSEArtifact
from optimum_ose.elastic.state import STATE_FILE
from optimum_ose.records import read_search
from runs import SETTINGS, Arguments, run

ELASTIC = {"num_steps": 6, "batch_size": 8, "checkpoint_steps": 2}
SEARCH = {"method": "elastic", "elastic": ELASTIC, "num_eval_rows": 32, "sequence_length": 16}


@pytest.mark.slow
def test_a_run_delivers_the_winner_and_its_training_answers_a_tighter_question(
    arguments: Arguments, teacher_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "elastic.yaml"
    settings.write_text(yaml.safe_dump({**SETTINGS, "search": SEARCH}))
    first, second = OSEArtifact(tmp_path / "first"), OSEArtifact(tmp_path / "second")
    run(monkeypatch, arguments(first.path, model=teacher_folder, config=settings))
    found = read_search(first.search)
    assert found["certificate"]["assumption"] == "exhaustive"
    assert "on all rows like these" in found["certificate"]["statement"]
    assert (first.stage("distill") or {})["kept"] in ("inherited", "measured", "extracted")
    assert (first.path / "model.safetensors").is_file()
    with safe_open(first.elastic / STATE_FILE, framework="pt") as content:
        assert content.metadata()["step"] == str(ELASTIC["num_steps"])

    bound = int(found["winner"]["objectives"]["parameter_size"]) - 1
    settings.write_text(yaml.safe_dump({**SETTINGS, "search": {**SEARCH, "max_parameters": bound}}))
    words = arguments(second.path, "extract", model=teacher_folder, config=settings, search_from=first.path)
    run(monkeypatch, words)
    assert read_search(second.search)["winner"]["objectives"]["parameter_size"] <= bound
    assert (second.elastic / STATE_FILE).read_bytes() == (first.elastic / STATE_FILE).read_bytes()
    assert second.journal.read_bytes() == first.journal.read_bytes()
