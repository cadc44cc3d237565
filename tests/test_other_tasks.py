"""Tags, numbers and sets of classes go the whole way from the command line, as single classes do."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from transformers import AutoConfig

from runs import SETTINGS, run
from themes import FILLERS, THEMES

NUM_ROWS = 200
WORDS = [(word, theme) for theme, words in THEMES.items() for word in words]


def tagged_rows() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows: dict[str, tuple[list[str], list[str]]] = {}
    while len(rows) < NUM_ROWS:
        chosen = [WORDS[int(index)] for index in generator.choice(len(WORDS), size=2)]
        words = [str(word) for word in generator.choice(FILLERS, size=4)]
        tags = ["O"] * 4
        for word, theme in chosen:
            place = int(generator.integers(len(words) + 1))
            words.insert(place, word)
            tags.insert(place, f"B-{theme}")
        rows[" ".join(words)] = (words, tags)
    return pd.DataFrame(list(rows.values()), columns=["tokens", "tags"])


def numbered_rows() -> pd.DataFrame:
    table = tagged_rows()
    scores = [sum(list(THEMES).index(tag[2:]) * 0.75 for tag in tags if tag != "O") for tags in table["tags"]]
    return pd.DataFrame({"text": table["tokens"].map(" ".join), "label": scores})


def rows_of_sets() -> pd.DataFrame:
    table = tagged_rows()
    return pd.DataFrame(
        {
            "text": table["tokens"].map(" ".join),
            "label": [[tag[2:] for tag in tags if tag not in ("O", "B-tools")] for tags in table["tags"]],
        }
    )


CASES = {
    "token-classification": (tagged_rows, "f1", "BertForTokenClassification", None),
    "regression": (numbered_rows, "spearman", "BertForSequenceClassification", "regression"),
    "multi-label": (rows_of_sets, "f1_micro", "BertForSequenceClassification", "multi_label_classification"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_whole_way(
    name: str,
    headless_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make, metric, architecture, problem_type = CASES[name]
    make().to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    settings = tmp_path / "ose.yaml"
    distillation = {**SETTINGS["distillation"], "num_augmented_copies": 1}
    further = {"teacher_arguments": {"num_train_epochs": 10}, "distillation": distillation}
    settings.write_text(yaml.safe_dump({**SETTINGS, **further}))
    task = name if name == "token-classification" else "text-classification"
    words = ["run", "--model", str(headless_folder), "--dataset", str(tmp_path / "rows.jsonl"), "--task", task]
    output = tmp_path / "out"
    run(monkeypatch, [*words, "--config", str(settings), "--epsilon", "0.2", "--output", str(output)])
    assert ("Agora does not make rows" in capsys.readouterr().err) == (name != "token-classification")
    config = AutoConfig.from_pretrained(output)
    assert config.architectures == [architecture]
    assert getattr(config, "problem_type", None) == problem_type
    benchmark = json.loads((output / "ose" / "benchmark.json").read_text())
    assert benchmark["metric"] == metric
    formats = benchmark["scores"]["student"]
    assert formats["onnx-fp32"][metric] == pytest.approx(formats["pytorch-fp32"][metric], abs=0.02)
    stages = json.loads((output / "ose" / "run.json").read_text())["stages"]
    assert stages["distill"]["metric"] == metric
    assert -1.0 <= stages["distill"]["validation_score"] <= 1.0
