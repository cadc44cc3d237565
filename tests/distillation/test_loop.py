"""Distillation teaches, is deterministic, and goes on after a kill as if nothing had happened."""

from dataclasses import replace
from pathlib import Path

import accelerate
import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from optimum_ose import Architecture, DistillationConfig
from optimum_ose.data.tokenization import TEACHER_LOGITS, tokenize, unlabeled_rows
from optimum_ose.distillation.loop import distill
from optimum_ose.distillation.teaching import with_teacher_logits
from optimum_ose.exceptions import DivergedError, InvalidConfigError, ProcessError
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.tasks import distillable_task
from optimum_ose.tasks.parts.losses import cross_entropy_to_teacher
from themes import theme_table, trained_teacher, word_tokenizer

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


def test_where_no_rate_is_set_the_tasks_own_is_taken(teacher: PreTrainedModel, rows: Dataset) -> None:
    own = distillable_task("text-classification").problem(teacher.config).learning_rate
    config = replace(CONFIG, num_steps=3, learning_rate=None)
    found = weights(trained(teacher, rows, config))
    assert torch.equal(found, weights(trained(teacher, rows, replace(config, learning_rate=own))))
    assert not torch.equal(found, weights(trained(teacher, rows, replace(config, learning_rate=2 * own))))


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


def test_batches_that_are_accumulated_are_one_large_batch(teacher: PreTrainedModel, rows: Dataset) -> None:
    whole = rows.select(range(96))
    config = replace(CONFIG, num_steps=6, labels_weight=0.0)
    large = trained(teacher, whole, replace(config, batch_size=96))
    small = trained(teacher, whole, replace(config, batch_size=32, gradient_accumulation_steps=3))
    one = trained(teacher, whole, replace(config, batch_size=32))
    # Adam makes steps of full size from gradients that are all but zero, so the weights are equal up to those.
    assert (weights(large) - weights(small)).norm() < 0.05 * (weights(large) - weights(one)).norm()


def test_accumulated_batches_are_gone_on_from_too(teacher: PreTrainedModel, rows: Dataset, tmp_path: Path) -> None:
    config = replace(CONFIG, batch_size=8, gradient_accumulation_steps=3)

    class KilledError(Exception):
        pass

    def kill(step: int, _loss: float) -> None:
        if step == 17:
            raise KilledError

    with pytest.raises(KilledError):
        trained(teacher, rows, config, checkpoint_folder=tmp_path, on_step=kill)
    resumed = trained(teacher, rows, config, checkpoint_folder=tmp_path)
    assert torch.equal(weights(resumed), weights(trained(teacher, rows, config)))


def test_half_precision_comes_near_whole_precision(teacher: PreTrainedModel, rows: Dataset) -> None:
    half = weights(trained(teacher, rows, replace(CONFIG, mixed_precision="bf16")))
    whole, before = weights(trained(teacher, rows, CONFIG)), weights(student_of(teacher))
    assert not torch.equal(half, whole)
    assert (half - whole).norm() < 0.3 * (whole - before).norm()


@pytest.mark.parametrize("term", ["relation_weight", "attention_weight", "hidden_weight"])
def test_a_term_alone_makes_the_student_imitate(teacher_folder: Path, rows: Dataset, term: str) -> None:
    eager = AutoModelForSequenceClassification.from_pretrained(teacher_folder, attn_implementation="eager").eval()
    alone = {"logits_weight": 0.0, "labels_weight": 0.0, term: 1.0}
    config = replace(CONFIG, num_steps=60, learning_rate=1e-2, **alone)
    student = student_of(eager)
    student.set_attn_implementation("eager")
    losses: list[float] = []
    distill(
        student,
        eager,
        rows=rows,
        tokenizer=word_tokenizer(),
        config=config,
        on_step=lambda _step, loss: losses.append(loss),
    )
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


def test_attention_maps_switch_both_models_to_eager_attention(rows: Dataset) -> None:
    teacher = trained_teacher()
    teacher.set_attn_implementation("sdpa")
    losses: list[float] = []
    student = student_of(teacher)
    distill(
        student,
        teacher,
        rows=rows,
        tokenizer=word_tokenizer(),
        config=replace(CONFIG, attention_weight=1.0, num_steps=2),
        on_step=lambda _step, loss: losses.append(loss),
    )
    assert len(losses) == 2
    assert all(np.isfinite(losses))


def test_data_parallel_is_refused(teacher: PreTrainedModel, rows: Dataset) -> None:
    wrapped = torch.nn.DataParallel(student_of(teacher))
    with pytest.raises(InvalidConfigError, match=r"must not run in torch\.nn\.DataParallel; a model is wrapped"):
        distill(wrapped, teacher, rows=rows, tokenizer=word_tokenizer(), config=CONFIG)


def test_a_tracker_that_is_not_there_is_refused(teacher: PreTrainedModel, rows: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="whose package is installed; got wandb"):
        trained(teacher, rows, replace(CONFIG, log_with=("wandb",)), checkpoint_folder=tmp_path)


def test_a_tracker_hears_of_every_step(teacher: PreTrainedModel, rows: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the tracker of this test is not installed")
    trained(teacher, rows, replace(CONFIG, log_with=("tensorboard",)), checkpoint_folder=tmp_path)
    assert list((tmp_path / "distillation").rglob("events.out.*"))


def test_answers_on_the_disk_are_those_in_memory_and_are_not_computed_again(
    teacher: PreTrainedModel, rows: Dataset, tmp_path: Path
) -> None:
    expected = weights(trained(teacher, rows, CONFIG))
    assert torch.equal(weights(trained(teacher, rows, CONFIG, answers_folder=tmp_path)), expected)
    (kept,) = tmp_path.iterdir()
    before = sorted((path.name, path.stat().st_mtime_ns) for path in kept.iterdir())
    assert torch.equal(weights(trained(teacher, rows, CONFIG, answers_folder=tmp_path)), expected)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in kept.iterdir()) == before
    with_teacher_logits(rows.select(range(5)), teacher, tokenizer=word_tokenizer(), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_rows_without_labels_teach_through_the_teacher_alone(teacher: PreTrainedModel, rows: Dataset) -> None:
    unlabeled = unlabeled_rows(rows.remove_columns("labels"), like=rows)
    assert set(unlabeled["labels"]) == {-100}
    plain = replace(CONFIG, labels_weight=0.0)
    assert torch.equal(weights(trained(teacher, unlabeled, CONFIG)), weights(trained(teacher, rows, plain)))


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_training_that_diverges_stops_at_the_first_loss_that_is_no_number(
    teacher: PreTrainedModel, rows: Dataset, tmp_path: Path, accumulated: int
) -> None:
    config = replace(CONFIG, num_steps=200, gradient_accumulation_steps=accumulated)
    student = student_of(teacher)
    with torch.no_grad():
        student.classifier.weight.mul_(1e38)
    seen: list[int] = []
    with pytest.raises(DivergedError, match=r"must stay finite; after step 1 of 200 it is (nan|inf).*Lower Dist"):
        distill(
            student,
            teacher,
            rows=rows,
            tokenizer=word_tokenizer(),
            config=config,
            checkpoint_folder=tmp_path,
            on_step=lambda step, _loss: seen.append(step),
        )
    assert not seen
    assert not list(tmp_path.glob("step-*"))


def test_weights_that_are_no_numbers_after_the_last_step_are_refused(teacher: PreTrainedModel, rows: Dataset) -> None:
    student = student_of(teacher)
    student.classifier.bias.data[0] = torch.nan
    with pytest.raises(DivergedError, match=r"BertForSequenceClassification must be finite after 0 steps"):
        distill(student, teacher, rows=rows, tokenizer=word_tokenizer(), config=replace(CONFIG, num_steps=0))


def test_processes_that_nobody_connected_are_refused_before_the_first_step(
    teacher: PreTrainedModel, rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    accelerate.PartialState()
    launched = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    before = weights(teacher).clone()
    with pytest.raises(ProcessError, match="2 were started, and this one knows of 1"):
        trained(teacher, rows, CONFIG)
    assert torch.equal(weights(teacher), before)
