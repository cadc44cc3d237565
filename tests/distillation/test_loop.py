"""Distillation teaches, is deterministic, and goes on after a kill as if nothing had happened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from optimum_ose import Architecture, DistillationConfig
from optimum_ose.data.tokenization import TEACHER_LOGITS, tokenize
from optimum_ose.distillation.loop import distill
from optimum_ose.distillation.losses import cross_entropy_to_teacher
from optimum_ose.distillation.teaching import with_teacher_logits
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.modeling.prediction import predict_logits
from themes import theme_table, word_tokenizer

SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
CONFIG = DistillationConfig(num_steps=24, batch_size=16, learning_rate=3e-3, checkpoint_steps=8)


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path) -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_pretrained(teacher_folder).eval()


@pytest.fixture(scope="module")
def rows(teacher: PreTrainedModel) -> Dataset:
    table = theme_table(120, seed=3)
    labels = [teacher.config.label2id[name] for name in table["label"]]
    return tokenize(Dataset.from_dict({"text": table["text"], "label": labels}), word_tokenizer(), max_length=32)


def student_of(teacher: PreTrainedModel, architecture: Architecture = SMALL) -> PreTrainedModel:
    return from_scratch(teacher, architecture, task="text-classification", seed=0)


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def trained(teacher: PreTrainedModel, rows: Dataset, config: DistillationConfig, **options: object) -> PreTrainedModel:
    student = student_of(teacher)
    distill(student, teacher, rows=rows, tokenizer=word_tokenizer(), config=config, **options)
    return student


@pytest.mark.parametrize("hidden_weight", [0.0, 1.0])
def test_the_student_comes_closer_to_the_teacher(teacher: PreTrainedModel, rows: Dataset, hidden_weight: float) -> None:
    config = replace(CONFIG, num_steps=300, learning_rate=1e-2, hidden_weight=hidden_weight)
    answers = torch.from_numpy(predict_logits(teacher, rows, tokenizer=word_tokenizer()))

    def distance(student: PreTrainedModel) -> float:
        found = torch.from_numpy(predict_logits(student, rows, tokenizer=word_tokenizer()))
        return float(cross_entropy_to_teacher(found, answers))

    assert distance(trained(teacher, rows, config)) < 0.7 * distance(student_of(teacher))


def test_the_same_seed_gives_the_same_weights_and_the_callers_generator_stays(
    teacher: PreTrainedModel, rows: Dataset
) -> None:
    state = torch.random.get_rng_state()
    first, second = trained(teacher, rows, CONFIG), trained(teacher, rows, CONFIG)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(trained(teacher, rows, replace(CONFIG, seed=1))))


@pytest.mark.parametrize("hidden_weight", [0.0, 0.5])
@pytest.mark.parametrize("stopped_at", [3, 8, 17])
def test_killed_and_gone_on_it_ends_with_the_same_weights(
    teacher: PreTrainedModel, rows: Dataset, tmp_path: Path, stopped_at: int, hidden_weight: float
) -> None:
    config = replace(CONFIG, hidden_weight=hidden_weight)

    class KilledError(Exception):
        pass

    def kill(step: int, _loss: float) -> None:
        if step == stopped_at:
            raise KilledError

    with pytest.raises(KilledError):
        trained(teacher, rows, config, checkpoint_folder=tmp_path, on_step=kill)
    student = student_of(teacher)
    report = distill(student, teacher, rows=rows, tokenizer=word_tokenizer(), config=config, checkpoint_folder=tmp_path)
    # The checkpoint of a step is written after its listener was told.
    assert report.resumed_from == (stopped_at - 1) // 8 * 8
    assert report.num_steps == 24
    assert torch.equal(weights(student), weights(trained(teacher, rows, config)))


def test_a_half_written_checkpoint_is_not_gone_on_from(teacher: PreTrainedModel, rows: Dataset, tmp_path: Path) -> None:
    (tmp_path / ".step-00000008.tmp").mkdir()
    (tmp_path / ".step-00000008.tmp" / "model.safetensors").write_bytes(b"half")
    student = trained(teacher, rows, CONFIG, checkpoint_folder=tmp_path)
    assert torch.equal(weights(student), weights(trained(teacher, rows, CONFIG)))


def test_the_teacher_is_asked_once_for_each_row_and_stays_as_it_was(teacher: PreTrainedModel, rows: Dataset) -> None:
    before = weights(teacher).clone()
    answered = with_teacher_logits(rows, teacher, tokenizer=word_tokenizer())
    expected = predict_logits(teacher, rows, tokenizer=word_tokenizer())
    assert np.allclose(np.array(answered[TEACHER_LOGITS][:]), expected, atol=1e-6)
    assert with_teacher_logits(answered, teacher, tokenizer=word_tokenizer()) is answered
    trained(teacher, answered, CONFIG)
    assert torch.equal(weights(teacher), before)


def test_other_classes_are_refused(teacher: PreTrainedModel, rows: Dataset) -> None:
    student = student_of(teacher)
    student.config.num_labels = 7
    with pytest.raises(InvalidConfigError, match="same classes; the student has 7, the teacher 3"):
        distill(student, teacher, rows=rows, tokenizer=word_tokenizer(), config=CONFIG)
