"""The error of a candidate is measured once, journaled, and found again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from optimum_ose import Architecture, SearchConfig
from optimum_ose.data.tokenization import tokenize
from optimum_ose.distillation.candidates import (
    CandidateError,
    CandidateRun,
    CandidateSetting,
    CandidateTrainer,
    short_run,
)
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.journal import Journal
from optimum_ose.modeling.initialization import from_scratch
from themes import theme_table, word_tokenizer

SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
SEARCH = SearchConfig(max_training_steps=3, batch_size=8)


@pytest.fixture
def setting(teacher_folder: Path) -> CandidateSetting:
    teacher = AutoModelForSequenceClassification.from_pretrained(teacher_folder).eval()
    table = theme_table(60, seed=3)
    labels = [teacher.config.label2id[name] for name in table["label"]]
    rows = tokenize(Dataset.from_dict({"text": table["text"], "label": labels}), word_tokenizer(), max_length=32)
    return CandidateSetting(
        teacher=teacher,
        tokenizer=word_tokenizer(),
        rows=rows.select(range(40)),
        eval_rows=rows.select(range(40, 60)),
        initialize=lambda architecture: from_scratch(teacher, architecture, task="text-classification", seed=0),
        search=SEARCH,
    )


def counting(setting: CandidateSetting, calls: list[Architecture]) -> CandidateSetting:
    def initialize(architecture: Architecture) -> PreTrainedModel:
        calls.append(architecture)
        return setting.initialize(architecture)

    return replace(setting, initialize=initialize)


def error_of(setting: CandidateSetting, path: Path, clock: Callable[[], float] = lambda: 0.0) -> CandidateError:
    trainer = CandidateTrainer(setting, clock=clock)
    return CandidateError(lambda runs: [trainer.measure(runs[0])], journal=Journal(path, question={"x": 1}))


def test_what_the_journal_holds_is_not_trained_again(setting: CandidateSetting, tmp_path: Path) -> None:
    calls: list[Architecture] = []
    first = error_of(counting(setting, calls), tmp_path / "journal.jsonl")
    found = [first(SMALL, {}), first(SMALL, {}), first(SMALL, {"temperature": 4.0})]
    assert len(calls) == 3
    second = error_of(counting(setting, calls), tmp_path / "journal.jsonl")
    assert [second(SMALL, {}), second(SMALL, {}), second(SMALL, {"temperature": 4.0})] == found
    assert len(calls) == 3
    assert second(SMALL, {}) not in found
    assert len(calls) == 4


def test_a_replicate_has_another_seed_and_the_same_call_the_same(setting: CandidateSetting, tmp_path: Path) -> None:
    first, again = (error_of(setting, tmp_path / name) for name in ("a.jsonl", "b.jsonl"))
    errors = [first(SMALL, {}), first(SMALL, {})]
    assert errors[0] != errors[1]
    assert [again(SMALL, {}), again(SMALL, {})] == errors


def test_the_task_metric_is_one_minus_accuracy(setting: CandidateSetting, tmp_path: Path) -> None:
    measured = error_of(replace(setting, search=replace(SEARCH, error="task-metric")), tmp_path / "journal.jsonl")
    assert measured(SMALL, {}) * 20 == pytest.approx(round(measured(SMALL, {}) * 20), abs=1)
    assert 0.0 <= measured(SMALL, {}) <= 1.0


def test_others_may_begin_with_what_is_planned_and_the_errors_stay_the_same(
    setting: CandidateSetting, tmp_path: Path
) -> None:
    other = Architecture({**SMALL, "hidden_size": 24})
    alone = error_of(setting, tmp_path / "alone.jsonl")
    wanted = [(SMALL, {}), (other, {}), (SMALL, {})]
    expected = [alone(*pair) for pair in wanted]
    calls: list[list[CandidateRun]] = []

    def measure(runs: Sequence[CandidateRun]) -> list[dict[str, object]]:
        calls.append(list(runs[:2]))
        return [CandidateTrainer(setting, clock=lambda: 0.0).measure(run) for run in runs[:2]]

    shared = CandidateError(measure, journal=Journal(tmp_path / "shared.jsonl", question={"x": 1}))
    shared.plan(wanted)
    assert [shared(*pair) for pair in wanted] == expected
    assert [[(run.architecture, run.replicate) for run in runs] for runs in calls] == [
        [(SMALL, 0), (other, 0)],
        [(SMALL, 1)],
    ]
    assert len(Journal(tmp_path / "shared.jsonl", question={"x": 1})) == 3


def test_divergence_is_a_recorded_result(setting: CandidateSetting, tmp_path: Path) -> None:
    measured = error_of(setting, tmp_path / "journal.jsonl")
    assert measured(SMALL, {"temperature": 1e-39}) != measured(SMALL, {"temperature": 1e-39})  # NaN
    entry = next(iter(Journal(tmp_path / "journal.jsonl", question={"x": 1})))
    assert (entry["error"], entry["failure"]) == (None, "diverged")


@pytest.mark.parametrize("failure", [MemoryError(), torch.OutOfMemoryError("too large")])
def test_running_out_of_memory_is_a_recorded_result(
    setting: CandidateSetting, tmp_path: Path, failure: Exception
) -> None:
    def initialize(architecture: Architecture) -> PreTrainedModel:
        student = setting.initialize(architecture)

        def fail(*_: object) -> None:
            raise failure

        student.register_forward_pre_hook(fail)
        return student

    measured = error_of(replace(setting, initialize=initialize), tmp_path / "journal.jsonl")
    assert measured(SMALL, {}) != measured(SMALL, {})  # NaN
    assert next(iter(Journal(tmp_path / "journal.jsonl", question={"x": 1})))["failure"] == "out of memory"


def test_any_other_failure_is_an_error(setting: CandidateSetting, tmp_path: Path) -> None:
    def initialize(architecture: Architecture) -> PreTrainedModel:
        student = setting.initialize(architecture)
        student.config.num_labels = 3
        student.classifier = torch.nn.Linear(1, 1)
        return student

    with pytest.raises(RuntimeError, match="shapes"):
        error_of(replace(setting, initialize=initialize), tmp_path / "journal.jsonl")(SMALL, {})


def test_a_hyperparameter_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="may name .*learning_rate.*; got num_steps"):
        short_run(SEARCH, {"num_steps": 3}, 0)


def test_theta_overrides_the_recipe() -> None:
    assert short_run(SEARCH, {"temperature": 5.0}, 0).temperature == 5.0
    assert short_run(SEARCH, {}, 0).num_steps == 3
