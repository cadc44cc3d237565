"""The code of the page on Agora runs as it stands, on a tiny teacher and tiny rows."""

import re
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from transformers import BertForMaskedLM, BertForSequenceClassification

from optimum_ose.core.agora import EstimatorLearner, run_agora
from themes import THEMES, teacher_config, theme_table, trained_teacher, word_tokenizer

PAGE = Path(__file__).parents[1] / "docs" / "agora.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def block(word: str) -> str:
    (found,) = [code for code in BLOCKS if word in code]
    return found


def run(code: str, names: dict[str, object]) -> dict[str, object]:
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def token_rows(num_rows: int, seed: int) -> datasets.Dataset:
    table = theme_table(num_rows, seed)
    labels = [list(THEMES).index(theme) for theme in table["label"]]
    return datasets.Dataset.from_dict({**word_tokenizer()(table["text"].to_list()), "labels": labels})


@pytest.fixture
def names() -> dict[str, object]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = BertForSequenceClassification(teacher_config(num_hidden_layers=1))
        masked_lm = BertForMaskedLM(teacher_config())
    rows = {name: token_rows(24, seed) for seed, name in enumerate(("train", "dev", "test"))}
    made = {"student": student, "masked_lm": masked_lm, "teacher": trained_teacher(), "tokenizer": word_tokenizer()}
    return {**rows, **made}


@pytest.fixture
def plane() -> dict[str, object]:
    return run(block("VectorPerturbation(points_per_mistake=3)"), {})


@pytest.mark.filterwarnings("ignore:'pin_memory' argument")
def test_the_job_in_trainer_and_both_own_taus_run(
    names: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(block("trainer.train()"), names)
    assert len(names["callback"].rounds) == 3
    job = block("trainer.train()")
    for word in ("MaskedLMReplacement", "without_a_word"):
        with_own_tau = job[: job.index("callback = ")] + block(word) + job[job.index("trainer = ") :]
        run(with_own_tau, names)
        assert names["callback"].rounds[0].num_proposed > 0
    masked = [names["tokenizer"].mask_token_id in row.features["input_ids"] for row in names["collator"].pool.rows]
    assert any(masked)


def test_the_job_in_the_plane_learns(plane: dict[str, object]) -> None:
    rounds = plane["result"].rounds
    assert plane["result"].test_accuracy > max(0.85, rounds[0].test_accuracy)


def test_an_own_tau_and_an_own_labeler_run(plane: dict[str, object]) -> None:
    run(block("def mirrored"), plane)
    plane["experts"] = [
        KNeighborsClassifier(number).fit(plane["own"], plane["inside"](plane["own"])) for number in (1, 3, 5)
    ]
    run(block("def two_of_three"), plane)
    result = run_agora(
        EstimatorLearner(KNeighborsClassifier()),
        plane["two_of_three"],
        points=plane["train"],
        labels=plane["inside"](plane["train"]),
        dev_points=plane["dev"],
        dev_labels=plane["inside"](plane["dev"]),
        test_points=plane["test"],
        test_labels=plane["inside"](plane["test"]),
        perturbation=plane["mirrored"],
        hyperparameters=[{"n_neighbors": 1}, {"n_neighbors": 3}],
    )
    assert result.rounds[0].num_added > 0
    np.testing.assert_array_equal(result.labels[40:], plane["two_of_three"](result.points[40:]))


def test_every_block_of_the_page_is_run() -> None:
    words = ("VectorPerturbation(points", "trainer.train()", "MaskedLMReplacement", "without_a_word", "def mirrored")
    assert len(BLOCKS) == len({block(word) for word in (*words, "def two_of_three")})
