"""Language models and encoders without a head learn from text alone; text without labels joins rows that have some."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    GPT2Config,
    PretrainedConfig,
    PreTrainedModel,
    TrainingArguments,
)

from optimum_ose import Architecture, DistillationConfig, OSEOptimizer, SearchConfig
from optimum_ose.distillation.loop import distill
from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from themes import VOCABULARY, teacher_config, theme_table, word_tokenizer
from tiny_tokenizer import word_piece_tokenizer

SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
RECIPE = DistillationConfig(num_steps=60, batch_size=16, learning_rate=1e-2)
TEXT = Dataset.from_dict({"text": theme_table(96, seed=5)["text"].to_list()})


def language_model(task: str) -> PreTrainedModel:
    config: PretrainedConfig = teacher_config()
    auto = AutoModelForMaskedLM
    if task == "text-generation":
        config = GPT2Config(vocab_size=len(VOCABULARY), n_positions=32, n_embd=32, n_layer=2, n_head=4, n_inner=64)
        auto = AutoModelForCausalLM
    config.initializer_range = 0.3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return auto.from_config(config).eval()


@pytest.fixture
def optimizer_of(tmp_path: Path, headless_folder: Path) -> object:
    def make(task: str) -> OSEOptimizer:
        folder = headless_folder
        if task != "feature-extraction":
            folder = tmp_path / "teacher"
            language_model(task).save_pretrained(folder)
            word_tokenizer().save_pretrained(folder)
        return OSEOptimizer.from_pretrained(folder, task=task, max_length=32)

    return make


@pytest.mark.parametrize("task", ["fill-mask", "text-generation", "feature-extraction"])
def test_a_student_comes_closer_on_text_alone(task: str, optimizer_of: object) -> None:
    optimizer = optimizer_of(task)  # type: ignore[operator]
    assert optimizer.has_head
    student = optimizer.initialize(SMALL, calibration_dataset=TEXT)
    losses: list[float] = []
    distill(
        student,
        optimizer.teacher,
        rows=optimizer.rows(TEXT),
        tokenizer=optimizer.tokenizer,
        config=RECIPE,
        task=task,
        on_step=lambda _step, loss: losses.append(loss),
    )
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_the_recipe_of_bort_runs_as_published(optimizer_of: object) -> None:
    optimizer = optimizer_of("fill-mask")  # type: ignore[operator]
    student = optimizer.initialize(SMALL, scratch_seed=0)
    before = student.get_input_embeddings().weight.clone()
    optimizer.distill(student, TEXT, DistillationConfig.bort(num_steps=3))
    assert not torch.equal(student.get_input_embeddings().weight, before)


@pytest.mark.parametrize("error", ["cross-entropy", "task-metric"])
def test_a_language_model_is_searched_by_its_teacher_or_by_held_out_text(error: str, optimizer_of: object) -> None:
    optimizer = optimizer_of("fill-mask")  # type: ignore[operator]
    settings = SearchConfig(error=error, max_training_steps=1, max_evaluations=2, num_eval_rows=8, sequence_length=8)
    found = optimizer.extract(settings, train_dataset=TEXT, eval_dataset=TEXT)
    measured = [evaluation.objectives.error for evaluation in found.evaluations]
    assert all(0 <= value <= 1 or error == "cross-entropy" for value in measured)
    assert min(measured) >= 0  # a divergence from the teacher, not an entropy
    with pytest.raises(UnsupportedModelError, match="task must be one of .*text-classification.*; got 'fill-mask'"):
        optimizer.finetune_teacher(TEXT, TEXT, TrainingArguments("unused"))


def test_weights_that_distillation_made_worse_are_given_back(optimizer_of: object) -> None:
    optimizer = optimizer_of("feature-extraction")  # type: ignore[operator]
    student = optimizer.initialize(SMALL, calibration_dataset=TEXT)
    before = optimizer.score(student, TEXT)
    ruinous = DistillationConfig(num_steps=4, learning_rate=0.9)
    optimizer.distill(student, TEXT, ruinous, eval_dataset=TEXT)
    assert optimizer.score(student, TEXT) == before
    optimizer.distill(student, TEXT, ruinous)
    assert optimizer.score(student, TEXT) < before


def test_vocabularies_that_differ_in_padding_are_compared_and_others_refused() -> None:
    tokenizer = word_tokenizer()
    teacher, student = (AutoModelForMaskedLM.from_config(teacher_config(vocab_size=size)) for size in (48, 56))
    rows = Dataset.from_dict(dict(tokenizer(TEXT["text"][:8])))
    arguments = {"rows": rows, "tokenizer": tokenizer, "config": RECIPE, "task": "fill-mask"}
    two_steps = {**arguments, "config": DistillationConfig(num_steps=2)}
    distill(student, teacher, **two_steps, teacher_tokenizer=word_tokenizer())
    other = word_piece_tokenizer(VOCABULARY[:5] + VOCABULARY[:4:-1])
    with pytest.raises(InvalidConfigError, match="must share a tokenizer.* are others in the teacher's"):
        distill(student, teacher, **arguments, teacher_tokenizer=other)
    small = AutoModelForMaskedLM.from_config(teacher_config(vocab_size=20))
    with pytest.raises(InvalidConfigError, match="every one of the tokenizer's .* the student has 20"):
        distill(small, teacher, **arguments)


def test_text_without_labels_joins_rows_that_have_some(teacher_folder: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(teacher_folder, max_length=32)
    table = theme_table(16, seed=1)
    labeled = Dataset.from_dict({"text": table["text"], "label": table["label"]}).class_encode_column("label")
    recipe = DistillationConfig(num_steps=40, batch_size=16, learning_rate=1e-2, labels_weight=0.5)
    students = []
    for unlabeled in (None, TEXT):
        student = optimizer.initialize(SMALL, scratch_seed=0)
        students.append(optimizer.distill(student, labeled, recipe, unlabeled_dataset=unlabeled))
    fresh = optimizer.rows(Dataset.from_dict({"text": theme_table(60, seed=9)["text"]}), needs_labels=False)
    divergences = []
    for student in students:
        student.eval()
        with torch.no_grad():
            batch = optimizer.tokenizer.pad(fresh.to_dict(), return_tensors="pt")
            found, wanted = (model(**batch).logits.log_softmax(-1) for model in (student, optimizer.teacher))
        divergences.append(float((wanted.exp() * (wanted - found)).sum(-1).mean()))
    assert divergences[1] < divergences[0]
