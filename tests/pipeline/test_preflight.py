"""What a later stage would refuse is refused before the first training."""

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from transformers import AlbertConfig, AlbertModel

from optimum_ose import OSEConfig, OSEOptimizer
from optimum_ose.configuration.reading import config_from_dict
from optimum_ose.exceptions import (
    ExportError,
    InvalidConfigError,
    InvalidDataError,
    LabelerError,
    OSEError,
    OutputFolderError,
    UnsupportedModelError,
)
from optimum_ose.optimizer.judging import MIN_ROWS
from optimum_ose.optimizer.trainer_arguments import student_arguments, teacher_arguments
from optimum_ose.pipeline.preflight import preflight
from optimum_ose.pipeline.run import Rows, Run, open_run
from optimum_ose.pipeline.runner import run_stages
from themes import THEMES, theme_table, word_tokenizer

BASE: dict[str, Any] = {
    "max_length": 32,
    "search": {"max_training_steps": 1, "max_evaluations": 3, "num_eval_rows": 16, "sequence_length": 16},
    "distillation": {"num_steps": 4},
}


def themes(num_rows: int, seed: int) -> Dataset:
    table = theme_table(num_rows, seed)
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(THEMES))})
    labels = [list(THEMES).index(theme) for theme in table["label"]]
    return Dataset.from_dict({"text": table["text"].to_list(), "label": labels}, features=features)


ROWS = Rows(train=themes(40, 1), validation=themes(20, 2), test=themes(20, 3))


@pytest.fixture(scope="module")
def optimizer(teacher_folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(teacher_folder, max_length=32)


def opened(optimizer: OSEOptimizer, folder: Path, changes: dict[str, Any], rows: Rows = ROWS) -> Run:
    values = {
        name: {**BASE.get(name, {}), **value} if isinstance(value, dict) else value for name, value in changes.items()
    }
    return open_run(optimizer, folder / "out", rows, config_from_dict(OSEConfig, {**BASE, **values}))


CHEAP: list[tuple[dict[str, Any], type[OSEError], str]] = [
    ({"student_arguments": {"lr_scheduler_type": "foo"}}, InvalidConfigError, "student_arguments must hold"),
    ({"student_arguments": {"optim": "nonsense"}}, InvalidConfigError, "student_arguments must hold"),
    ({"student_arguments": {"num_train_epochs": -1}}, InvalidConfigError, "num_train_epochs=-1 is negative"),
    ({"teacher_arguments": {"optim": "nonsense"}}, InvalidConfigError, "teacher_arguments must hold"),
    ({"student_arguments": {"report_to": "nonsense"}}, InvalidConfigError, "report_to in student_arguments"),
    ({"student_arguments": {"learning_rate": "fast"}}, InvalidConfigError, "learning_rate in student_arguments"),
    ({"student_arguments": {"num_train_epochs": [1]}}, InvalidConfigError, "num_train_epochs in student_arguments"),
    ({"student_arguments": {"per_device_train_batch_size": 1.5}}, InvalidConfigError, "per_device_train_batch_size"),
    ({"student_arguments": {"epochs": 1}}, InvalidConfigError, "must name fields of TrainingArguments"),
    ({"teacher_arguments": {"warmup_step": 1}}, InvalidConfigError, "got warmup_step. .* the nearest: warmup_steps"),
    ({"distillation": {"log_with": ["nonsense"]}}, InvalidConfigError, "log_with must name trackers"),
]
LESS_CHEAP: list[tuple[dict[str, Any], type[OSEError], str]] = [
    ({"student_arguments": {"lr_scheduler_type": "cosine_with_min_lr"}}, InvalidConfigError, "lr_scheduler_kwargs"),
    (
        {"student_arguments": {"per_device_train_batch_size": -1}, "agora": None},
        InvalidConfigError,
        "student_arguments",
    ),
    ({"student_arguments": {"gradient_accumulation_steps": 0}}, InvalidConfigError, "gradient_accumulation_steps in"),
    ({"student_arguments": {"per_device_train_batch_size": 1}}, InvalidConfigError, "pool_share"),
    (
        {"student_arguments": {"save_strategy": "best", "metric_for_best_model": "f2", "eval_strategy": "epoch"}},
        InvalidConfigError,
        "eval_f2",
    ),
    (
        {
            "student_arguments": {
                "load_best_model_at_end": True,
                "eval_strategy": "epoch",
                "metric_for_best_model": "f2",
            }
        },
        InvalidConfigError,
        "eval_f2",
    ),
    ({"student_arguments": {"lr_scheduler_kwargs": {"foo": 1}}}, InvalidConfigError, "^student_arguments must hold"),
    (
        {"student_arguments": {"lr_scheduler_type": "warmup_stable_decay"}},
        InvalidConfigError,
        "^student_arguments must",
    ),
    ({"student_arguments": {"save_strategy": "best"}}, InvalidConfigError, "metric_for_best_model"),
    ({"student_arguments": {"per_device_eval_batch_size": 0}, "agora": None}, InvalidConfigError, "batch_size"),
    ({"student_arguments": {"max_steps": 1}}, InvalidConfigError, "long enough for one round of Agora"),
    ({"student_arguments": {"num_train_epochs": 0}}, InvalidConfigError, "must be a number above 0; got 0"),
    ({"student_arguments": {"push_to_hub": True}}, InvalidConfigError, "push_to_hub in student_arguments"),
    (
        {"student_arguments": {"dataloader_drop_last": True, "per_device_train_batch_size": 64}},
        InvalidConfigError,
        "there are 40",
    ),
    ({"export": {"tolerance": 1e-12}}, ExportError, "must compute what the model computes.* Set the tolerance to"),
    ({"export": {"pooling": "mean"}}, OSEError, "Pooling needs a model without a head"),
    ({"search": {"sequence_length": 9999}}, InvalidConfigError, "sequence_length must be at most 32"),
    ({"search": {"axes": {"nonsense": [1]}}}, OSEError, "has the axes"),
    ({"search": {"max_parameters": 10}}, OSEError, "the smallest possible size is"),
]


@pytest.mark.parametrize(("changes", "kind", "message"), CHEAP + LESS_CHEAP, ids=lambda value: str(value)[:60])
def test_a_setting_that_a_later_stage_would_refuse_is_refused_now(
    optimizer: OSEOptimizer, tmp_path: Path, changes: dict[str, Any], kind: type[OSEError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        preflight(opened(optimizer, tmp_path, changes))
    run_file = tmp_path / "out" / "ose" / "run.json"
    assert not run_file.exists() or "teacher" not in json.loads(run_file.read_text())["stages"]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="here fp16 can be used")
@pytest.mark.parametrize(
    "changes", [{"distillation": {"mixed_precision": "fp16"}}, {"student_arguments": {"fp16": True}}]
)
def test_precision_that_this_machine_lacks_is_refused(
    optimizer: OSEOptimizer, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidConfigError, match="precision fp16; it cannot: it has no GPU"):
        preflight(opened(optimizer, tmp_path, changes))


def poor_teacher(folder: Path) -> OSEOptimizer:
    poor = OSEOptimizer.from_pretrained(folder, max_length=32)
    with torch.no_grad():
        poor.teacher.classifier.weight.zero_()
    return poor


def test_a_labeler_that_will_not_do_is_refused_before_the_search(teacher_folder: Path, tmp_path: Path) -> None:
    few = Rows(train=ROWS.train, validation=themes(MIN_ROWS - 5, 2), test=ROWS.test)  # too few to judge a teacher by
    for _ in range(2):  # the same command again
        run = opened(poor_teacher(teacher_folder), tmp_path, {}, few)
        with pytest.raises(LabelerError, match="the labeler must be right"):
            run_stages(run)
        assert run.artifact.stage("extract") is None
    preflight(opened(poor_teacher(teacher_folder), tmp_path, {"agora": None}, few))


def test_a_teacher_that_answers_by_chance_is_refused_as_a_teacher(teacher_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="The teacher must be better than a constant answer"):
        run_stages(opened(poor_teacher(teacher_folder), tmp_path, {}))


@pytest.mark.parametrize("strategy", ["epoch", "steps", "best"])
def test_the_best_checkpoint_may_be_kept(optimizer: OSEOptimizer, tmp_path: Path, strategy: str) -> None:
    evaluation = "epoch" if strategy == "best" else strategy
    arguments = {"load_best_model_at_end": True, "metric_for_best_model": "accuracy", "save_strategy": strategy}
    arguments |= {"eval_strategy": evaluation, "eval_steps": 2, "save_steps": 4}
    preflight(opened(optimizer, tmp_path, {"student_arguments": arguments}))


def states() -> tuple[Any, ...]:
    """Of all global generators."""
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


def test_a_run_that_can_end_passes_draws_nothing_and_warns_of_nothing(
    optimizer: OSEOptimizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = opened(optimizer, tmp_path, {})
    before = states()
    with caplog.at_level(logging.WARNING):
        preflight(run)
    assert states() == before
    assert not caplog.records
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ose"]


def test_attention_maps_are_shown_where_they_are_wanted(teacher_folder: Path, tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(teacher_folder, max_length=32)
    preflight(opened(optimizer, tmp_path, {"distillation": {"attention_weight": 1.0}}))
    assert optimizer.teacher.config._attn_implementation == "eager"


def test_a_disk_without_room_is_told(optimizer: OSEOptimizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(optimizer, tmp_path, {})
    monkeypatch.setattr("optimum_ose.pipeline.preflight._COPIES_OF_TEACHER", 10**12)
    with pytest.raises(OutputFolderError, match=r"must have room for the run, about .* MB; .* MB are free"):
        preflight(run)


def test_a_finished_search_is_not_rehearsed_again(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    run = opened(optimizer, tmp_path, {"export": {"tolerance": 1e-12}})
    for stage in ("teacher", "extract", "distill", "finetune", "export"):
        run.artifact.finish_stage(stage, {})
    preflight(run)


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path) -> None:
    assert student_arguments(tmp_path, {"learning_rate": "5e-5"}).learning_rate == 5e-5
    config = OSEConfig().search
    made = teacher_arguments(tmp_path, config, {"per_device_train_batch_size": 8.0}, num_rows=80)  # type: ignore[arg-type]
    assert made.per_device_train_batch_size == 8


def test_what_inherits_fronts_only_is_not_searched_as_inherited(tmp_path: Path) -> None:
    tokenizer = word_tokenizer()
    config = AlbertConfig(
        vocab_size=len(tokenizer), embedding_size=16, hidden_size=32, intermediate_size=64, num_attention_heads=2
    )
    AlbertModel(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    optimizer = OSEOptimizer.from_pretrained(tmp_path / "model", num_labels=len(THEMES), max_length=32)
    search = {"method": "inherited", "num_eval_rows": 16, "sequence_length": 16}
    run = open_run(optimizer, tmp_path / "out", ROWS, config_from_dict(OSEConfig, {**BASE, "search": search}))
    with pytest.raises(UnsupportedModelError, match="albert"):
        preflight(run)
