"""OSEOptimizer from Python: its verbs refuse what they cannot do, and the teacher's classes are honored."""

from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from transformers import TrainingArguments

from optimum_ose import Architecture, DistillationConfig, OSEConfig, OSEOptimizer, SearchConfig
from optimum_ose.data.labels import align_labels
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError, InvalidDataError, UnsupportedModelError
from optimum_ose.optimizer.trainer_arguments import student_arguments
from optimum_ose.question import model_digest, rows_digest
from themes import THEMES, theme_table

SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)


def themes(num_rows: int, seed: int, names: tuple[str, ...] = tuple(THEMES)) -> Dataset:
    table = theme_table(num_rows, seed)
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(names))})
    return Dataset.from_dict(
        {"text": table["text"].to_list(), "label": [names.index(theme) for theme in table["label"]]}, features=features
    )


@pytest.fixture(scope="module")
def optimizer(teacher_folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(teacher_folder, max_length=32)


def test_classes_are_matched_by_name_whatever_their_order(optimizer: OSEOptimizer) -> None:
    shuffled = themes(30, 1, names=("tools", "animals", "food"))
    aligned = align_labels(shuffled, optimizer.teacher.config)
    straight = themes(30, 1)
    assert aligned["label"][:] == straight["label"][:]
    assert aligned.features["label"].names == list(THEMES)


def test_classes_without_names_keep_their_numbers(optimizer: OSEOptimizer) -> None:
    config = type(optimizer.teacher.config)(num_labels=3)
    rows = themes(30, 1)
    assert align_labels(rows, config)["label"][:] == rows["label"][:]


def test_other_classes_are_refused(optimizer: OSEOptimizer) -> None:
    rows = themes(30, 1).cast_column("label", ClassLabel(names=["a", "b", "c"]))
    with pytest.raises(InvalidDataError, match="classes of the data must be those of the teacher's head; .*3: a, b, c"):
        optimizer.rows(rows)


def test_columns_of_another_name_are_refused(optimizer: OSEOptimizer) -> None:
    with pytest.raises(InvalidDataError, match="must have the columns text .*; it has body"):
        optimizer.rows(Dataset.from_dict({"body": ["x"]}))


def test_a_teacher_without_a_head_must_be_fine_tuned_first(headless_folder: Path) -> None:
    bare = OSEOptimizer.from_pretrained(headless_folder, num_labels=3)
    assert not bare.has_head
    with pytest.raises(InvalidConfigError, match="must have a trained head .*Fine-tune the teacher first"):
        bare.extract(train_dataset=themes(30, 1), eval_dataset=themes(10, 2))


def test_classes_that_a_trained_head_does_not_have_are_refused(teacher_folder: Path) -> None:
    with pytest.raises(
        InvalidConfigError, match="num_labels must be 3, the classes of the model's trained head; got 5"
    ):
        OSEOptimizer.from_pretrained(teacher_folder, num_labels=5)
    assert OSEOptimizer.from_pretrained(teacher_folder, num_labels=3).has_head


def test_a_head_of_a_bare_encoder_is_the_same_at_each_loading(headless_folder: Path) -> None:
    first, second = (OSEOptimizer.from_pretrained(headless_folder, num_labels=3).teacher for _ in range(2))
    assert model_digest(first) == model_digest(second)


def test_inheriting_without_calibration_rows_is_refused(teacher_folder: Path) -> None:
    with pytest.raises(InvalidConfigError, match="needs calibration rows"):
        OSEOptimizer.from_pretrained(teacher_folder).initialize(SMALL)


def test_a_student_can_start_from_scratch(optimizer: OSEOptimizer) -> None:
    student = optimizer.initialize(SMALL, scratch_seed=3)
    assert student.config.hidden_size == 16


@pytest.mark.parametrize(
    ("bound", "count_embeddings"), [("max_parameters", True), ("max_non_embedding_parameters", False)]
)
def test_size_bounds_that_leave_nothing_are_refused_with_the_smallest_possible_size(
    optimizer: OSEOptimizer, bound: str, count_embeddings: bool
) -> None:
    space = optimizer.search_space()
    smallest = int(space.parameter_size(space.candidates, count_embeddings=count_embeddings).min())
    with pytest.raises(InfeasibleError, match=f"keeps {bound}=.*; the smallest possible size is {smallest}\\."):
        optimizer.extract(
            SearchConfig(**{bound: smallest - 1}), train_dataset=themes(30, 1), eval_dataset=themes(10, 2)
        )


def test_only_candidates_within_the_bound_on_non_embedding_parameters_are_trained(optimizer: OSEOptimizer) -> None:
    space = optimizer.search_space()
    sizes = space.parameter_size(space.candidates, count_embeddings=False)
    limit = int(np.median(sizes))
    settings = SearchConfig(
        objective="error",
        max_non_embedding_parameters=limit,
        max_training_steps=0,
        max_evaluations=6,
        num_eval_rows=8,
        sequence_length=16,
    )
    found = optimizer.extract(settings, train_dataset=themes(30, 1), eval_dataset=themes(10, 2))
    assert found.certificate.num_candidates == np.count_nonzero(sizes <= limit)
    trained = space.parameter_size([entry.architecture for entry in found.evaluations], count_embeddings=False)
    assert trained.max() <= limit


def test_a_task_that_is_not_handled_is_refused(teacher_folder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="task must be one of .*; got 'depth-estimation'"):
        OSEOptimizer.from_pretrained(teacher_folder, task="depth-estimation")


def test_unknown_training_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="must name fields of TrainingArguments .*; got epochs"):
        student_arguments(tmp_path, {"epochs": 3})


def test_optimize_does_the_whole_way_from_python(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    config = OSEConfig(
        search=SearchConfig(max_training_steps=1, max_evaluations=3, num_eval_rows=16, sequence_length=16),
        distillation=DistillationConfig(num_steps=4),
        agora=None,
        student_arguments={"num_train_epochs": 1},
        max_length=32,
    )
    splits = {"train_dataset": themes(60, 1), "eval_dataset": themes(30, 2), "test_dataset": themes(30, 3)}
    artifact = optimizer.optimize(tmp_path / "out", config, **splits)
    assert artifact.quantized_onnx.is_file()
    assert artifact.card.is_file()
    teacher = artifact.stage("teacher")
    assert teacher["finetuned_here"] is False
    assert teacher["validation_score"] > teacher["trivial_score"]


def test_the_digest_of_rows_and_model_tells_a_change(optimizer: OSEOptimizer) -> None:
    assert rows_digest(themes(9, 1)) == rows_digest(themes(9, 1)) != rows_digest(themes(9, 2))
    before = model_digest(optimizer.teacher)
    optimizer.teacher.classifier.bias.data[0] += 1e-3
    assert model_digest(optimizer.teacher) != before
    optimizer.teacher.classifier.bias.data[0] -= 1e-3


def test_finetuning_ends_in_evaluation_mode(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    student = optimizer.initialize(SMALL, scratch_seed=0)
    args = TrainingArguments(
        str(tmp_path), num_train_epochs=1, report_to="none", disable_tqdm=True, dataloader_pin_memory=False
    )
    optimizer.finetune(student, train_dataset=themes(40, 1), eval_dataset=themes(20, 2), args=args)
    assert not student.training
