"""Every verb of the Python API answers every wrong argument with one of our errors, before work is spent."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from transformers import AutoModel, EarlyStoppingCallback, TrainingArguments

from optimum_ose import (
    AgoraConfig,
    Architecture,
    DistillationConfig,
    ExportConfig,
    OSEArtifact,
    OSEConfig,
    OSEError,
    OSEOptimizer,
    SearchConfig,
    SearchSpace,
    derive_search_space,
    extract,
    push_to_hub,
    reconfigure,
    run_agora,
    w_coefficient,
)
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UntouchedSplitWarning
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.optimizer.guards import checked_splits
from themes import THEMES, theme_table

SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
FAST = SearchConfig(max_training_steps=1, max_evaluations=3, num_eval_rows=8, sequence_length=16)
MAX_LINES = 10


def themes(num_rows: int, seed: int) -> Dataset:
    table = theme_table(num_rows, seed)
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(THEMES))})
    labels = [list(THEMES).index(theme) for theme in table["label"]]
    return Dataset.from_dict({"text": table["text"].to_list(), "label": labels}, features=features)


TRAIN, DEV, TEST = themes(24, 1), themes(12, 2), themes(12, 3)
NO_DATA: dict[str, Any] = {
    "None": None,
    "text": "train.csv",
    "number": 5,
    "DatasetDict": datasets.DatasetDict(train=TRAIN),
    "stream": TRAIN.to_iterable_dataset(),
    "rows in a list": TRAIN.to_list(),
    "columns in a dict": TRAIN.to_dict(),
    "pandas": pd.DataFrame(TRAIN.to_dict()),
    "empty": TRAIN.select([]),
    "other columns": Dataset.from_dict({"body": ["x", "y"], "target": [0, 1]}),
    "made by a transform": TRAIN.with_transform(lambda rows: rows),
    "the class": Dataset,
}
NO_CONFIG: dict[str, Any] = {"dict": {}, "number": 3, "True": True, "text": "fast", "class": SearchConfig}
NO_MODEL: dict[str, Any] = {
    "None": None,
    "text": "student",
    "module": torch.nn.Linear(2, 2),
    "Architecture": SMALL,
    "class": AutoModel,
}
NO_PATH: dict[str, Any] = {"None": None, "number": 5, "empty": "", "bytes": b"out", "null byte": "a\0b", "list": ["a"]}


@pytest.fixture(scope="module")
def optimizer(teacher_folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(teacher_folder, max_length=32)


@pytest.fixture(scope="module")
def student(optimizer: OSEOptimizer) -> Any:
    return optimizer.initialize(SMALL, scratch_seed=0)


@pytest.fixture
def args(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(
        str(tmp_path / "training"), max_steps=1, report_to="none", disable_tqdm=True, use_cpu=True, save_strategy="no"
    )


def refused(work: Callable[[], object]) -> OSEError:
    with pytest.raises(OSEError) as raised:
        work()
    assert len(str(raised.value).splitlines()) <= MAX_LINES
    return raised.value


VERBS_OF_DATA: dict[str, Callable[[Any, Any, Any, Any, Path], object]] = {
    "extract train": lambda o, s, a, d, p: o.extract(FAST, train_dataset=d, eval_dataset=DEV),
    "extract eval": lambda o, s, a, d, p: o.extract(FAST, train_dataset=TRAIN, eval_dataset=d),
    "distill": lambda o, s, a, d, p: o.distill(s, d),
    "finetune train": lambda o, s, a, d, p: o.finetune(s, train_dataset=d, eval_dataset=DEV, args=a),
    "finetune eval": lambda o, s, a, d, p: o.finetune(s, train_dataset=TRAIN, eval_dataset=d, args=a),
    "finetune eval agora": lambda o, s, a, d, p: o.finetune(
        s, train_dataset=TRAIN, eval_dataset=d, args=a, agora=AgoraConfig()
    ),
    "finetune_teacher train": lambda o, s, a, d, p: o.finetune_teacher(d, DEV, a),
    "finetune_teacher eval": lambda o, s, a, d, p: o.finetune_teacher(TRAIN, d, a),
    "optimize train": lambda o, s, a, d, p: o.optimize(p, train_dataset=d, eval_dataset=DEV, test_dataset=TEST),
    "optimize eval": lambda o, s, a, d, p: o.optimize(p, train_dataset=TRAIN, eval_dataset=d, test_dataset=TEST),
    "optimize test": lambda o, s, a, d, p: o.optimize(p, train_dataset=TRAIN, eval_dataset=DEV, test_dataset=d),
    "score": lambda o, s, a, d, p: o.score(s, d),
    "rows": lambda o, s, a, d, p: o.rows(d),
}
VERBS_OF_MAYBE_DATA: dict[str, Callable[[Any, Any, Any, Any, Path], object]] = {
    "initialize": lambda o, s, a, d, p: o.initialize(SMALL, calibration_dataset=d),
    "distill unlabeled": lambda o, s, a, d, p: o.distill(s, TRAIN, unlabeled_dataset=d),
    "finetune test": lambda o, s, a, d, p: o.finetune(s, train_dataset=TRAIN, eval_dataset=DEV, test_dataset=d, args=a),
    "optimize unlabeled": lambda o, s, a, d, p: o.optimize(
        p, train_dataset=TRAIN, eval_dataset=DEV, test_dataset=TEST, unlabeled_dataset=d
    ),
}


@pytest.mark.parametrize("value", NO_DATA)
@pytest.mark.parametrize("verb", [*VERBS_OF_DATA, *VERBS_OF_MAYBE_DATA])
def test_what_is_no_data_set_is_refused(
    optimizer: OSEOptimizer, student: Any, args: TrainingArguments, tmp_path: Path, verb: str, value: str
) -> None:
    if verb in VERBS_OF_MAYBE_DATA and value == "None":
        pytest.skip("None is the default")
    call = {**VERBS_OF_DATA, **VERBS_OF_MAYBE_DATA}[verb]
    before = [parameter.clone() for parameter in student.parameters()]
    refused(lambda: call(optimizer, student, args, NO_DATA[value], tmp_path / "out"))
    assert all(map(torch.equal, before, student.parameters()))


def test_the_remedy_names_the_splits_of_a_dict(optimizer: OSEOptimizer) -> None:
    found = refused(lambda: optimizer.rows(datasets.DatasetDict(train=TRAIN, dev=DEV)))
    assert str(found) == (
        "dataset must be a datasets.Dataset; got a DatasetDict. "
        "Pass one of its splits, such as dataset['train']; it has train, dev"
    )


@pytest.mark.parametrize("kind", ["numpy", "torch", "pandas", "arrow"])
def test_formatted_sets_give_the_same_rows(optimizer: OSEOptimizer, kind: str) -> None:
    assert optimizer.rows(TRAIN.with_format(kind)).to_dict() == optimizer.rows(TRAIN).to_dict()
    half_shown = TRAIN.with_format(kind, columns=["label"])
    assert optimizer.rows(half_shown).to_dict() == optimizer.rows(TRAIN).to_dict()


VERBS_OF_CONFIG: dict[str, Callable[[Any, Any, Any, Any, Path], object]] = {
    "extract": lambda o, s, a, c, p: o.extract(c, train_dataset=TRAIN, eval_dataset=DEV),
    "distill": lambda o, s, a, c, p: o.distill(s, TRAIN, c),
    "finetune": lambda o, s, a, c, p: o.finetune(s, train_dataset=TRAIN, eval_dataset=DEV, args=a, agora=c),
    "export": lambda o, s, a, c, p: o.export(s, p, c),
    "optimize": lambda o, s, a, c, p: o.optimize(p, c, train_dataset=TRAIN, eval_dataset=DEV, test_dataset=TEST),
    "search_space": lambda o, s, a, c, p: o.search_space(c),
}
CONFIG_OF = {
    "extract": SearchConfig,
    "distill": DistillationConfig,
    "finetune": AgoraConfig,
    "export": ExportConfig,
    "optimize": OSEConfig,
    "search_space": SearchConfig,
}


@pytest.mark.parametrize("value", [*NO_CONFIG, "another config"])
@pytest.mark.parametrize("verb", VERBS_OF_CONFIG)
def test_what_is_no_config_of_the_verb_is_refused(
    optimizer: OSEOptimizer, student: Any, args: TrainingArguments, tmp_path: Path, verb: str, value: str
) -> None:
    others = [kind for kind in CONFIG_OF.values() if kind is not CONFIG_OF[verb]]
    config = others[0]() if value == "another config" else NO_CONFIG[value]
    found = refused(lambda: VERBS_OF_CONFIG[verb](optimizer, student, args, config, tmp_path / "out"))
    assert isinstance(found, InvalidConfigError)
    assert CONFIG_OF[verb].__name__ in str(found)
    assert not (tmp_path / "out").exists()


VERBS_OF_STUDENT: dict[str, Callable[[Any, Any, Any, Path], object]] = {
    "distill": lambda o, s, a, p: o.distill(s, TRAIN),
    "finetune": lambda o, s, a, p: o.finetune(s, train_dataset=TRAIN, eval_dataset=DEV, args=a),
    "export": lambda o, s, a, p: o.export(s, p),
    "score": lambda o, s, a, p: o.score(s, DEV),
}


@pytest.mark.parametrize("value", NO_MODEL)
@pytest.mark.parametrize("verb", VERBS_OF_STUDENT)
def test_what_is_no_model_is_refused(
    optimizer: OSEOptimizer, args: TrainingArguments, tmp_path: Path, verb: str, value: str
) -> None:
    refused(lambda: VERBS_OF_STUDENT[verb](optimizer, NO_MODEL[value], args, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["distill", "finetune"])
def test_a_model_that_cannot_be_the_student_is_refused(
    optimizer: OSEOptimizer, args: TrainingArguments, tmp_path: Path, verb: str
) -> None:
    teacher = optimizer.teacher
    sharing = copy.deepcopy(teacher)
    sharing.bert = teacher.bert
    other_classes, fewer_tokens = copy.deepcopy(teacher.config), copy.deepcopy(teacher.config)
    other_classes.num_labels, fewer_tokens.vocab_size = 2, 5
    cases = {
        "for it is changed in place": (teacher, sharing),
        "same classes; the student has 2": (type(teacher)(other_classes),),
        "must have a head": (copy.deepcopy(teacher.bert),),
        "an embedding for each token": (type(teacher)(fewer_tokens),),
    }
    for message, models in cases.items():
        for model in models:
            assert message in str(refused(lambda: VERBS_OF_STUDENT[verb](optimizer, model, args, tmp_path)))  # noqa: B023


@pytest.mark.parametrize("value", NO_PATH)
@pytest.mark.parametrize("verb", ["export", "optimize", "from_pretrained", "open", "push_to_hub", "extract", "distill"])
def test_what_is_no_path_is_refused(optimizer: OSEOptimizer, student: Any, verb: str, value: str) -> None:
    path = NO_PATH[value]
    if value == "None" and verb in ("extract", "distill"):
        pytest.skip("None is the default")
    splits = {"train_dataset": TRAIN, "eval_dataset": DEV}
    calls: dict[str, Callable[[], object]] = {
        "export": lambda: optimizer.export(student, path),
        "optimize": lambda: optimizer.optimize(path, **splits, test_dataset=TEST),
        "from_pretrained": lambda: OSEOptimizer.from_pretrained(path),
        "open": lambda: OSEArtifact.open(path),
        "push_to_hub": lambda: push_to_hub(path, "user/name"),
        "extract": lambda: optimizer.extract(FAST, **splits, journal=path),
        "distill": lambda: optimizer.distill(student, TRAIN, checkpoint_folder=path),
    }
    refused(calls[verb])


def test_a_journal_that_is_a_folder_is_refused(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    for path, remedy in ((tmp_path, f"Pass a file: {tmp_path}/"), (tmp_path / "journal.jsonl", "Move the folder away")):
        found = refused(lambda path=path: optimizer.extract(FAST, train_dataset=TRAIN, eval_dataset=DEV, journal=path))
        assert "journal must be a file" in str(found)
        assert remedy in str(found)


@pytest.mark.parametrize("value", [0, -5, 7, "32", 32.0, True, None, float("nan")])
def test_a_length_that_is_no_number_of_tokens_is_refused(
    optimizer: OSEOptimizer, teacher_folder: Path, value: Any
) -> None:
    refused(lambda: OSEOptimizer.from_pretrained(teacher_folder, max_length=value))
    refused(lambda: OSEOptimizer(optimizer.teacher, optimizer.tokenizer, task="text-classification", max_length=value))


class Notes:
    """A listener that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, name: str, total: int | None) -> None: ...
    def advance(self, done: int, note: str) -> None: ...
    def finish(self) -> None: ...

    def say(self, message: str) -> None:
        self.said.append(message)


def test_a_length_beyond_what_the_model_takes_is_cut_with_a_word(optimizer: OSEOptimizer, teacher_folder: Path) -> None:
    word = "max_length is 32, the tokens that the model takes, instead of 100,000"
    loaded, made = Notes(), Notes()
    OSEOptimizer.from_pretrained(teacher_folder, max_length=100_000, listener=loaded)
    long = OSEOptimizer(
        optimizer.teacher, optimizer.tokenizer, task="text-classification", max_length=100_000, listener=made
    )
    assert long.max_length == 32
    assert loaded.said == made.said == [word]
    long.score(long.teacher, TRAIN.map(lambda row: {"text": row["text"] * 20}))
    assert "; the model takes no more" in made.said[1]


def test_a_length_that_nobody_chose_is_fitted_silently(teacher_folder: Path) -> None:
    loaded = Notes()
    assert OSEOptimizer.from_pretrained(teacher_folder, listener=loaded).max_length == 32
    assert loaded.said == []


def test_rows_beyond_a_shorter_length_are_told_how_to_keep_more(teacher_folder: Path) -> None:
    heard = Notes()
    short = OSEOptimizer.from_pretrained(teacher_folder, max_length=8, listener=heard)
    short.score(short.teacher, TRAIN.map(lambda row: {"text": row["text"] * 20}))
    assert "24 of 24 rows (100.0%) are longer than max_length=8 tokens" in heard.said[0]
    assert heard.said[0].endswith("a greater max_length (--max-length) keeps more")


@pytest.mark.parametrize("value", [None, 5, ["text-classification"], "", {}])
def test_a_task_that_is_none_is_refused(teacher_folder: Path, value: Any) -> None:
    refused(lambda: OSEOptimizer.from_pretrained(teacher_folder, task=value))


@pytest.mark.parametrize("value", NO_MODEL)
def test_teacher_and_tokenizer_must_be_of_their_kind(optimizer: OSEOptimizer, value: str) -> None:
    refused(lambda: OSEOptimizer(NO_MODEL[value], optimizer.tokenizer, task="text-classification"))
    refused(lambda: OSEOptimizer(optimizer.teacher, NO_MODEL[value], task="text-classification"))


@pytest.mark.parametrize("value", [None, 5, "small", {}, {"hidden_size": "x"}, {"hidden_size": 0}, [1], AgoraConfig()])
def test_what_is_no_architecture_is_refused(optimizer: OSEOptimizer, value: Any) -> None:
    refused(lambda: optimizer.initialize(value, calibration_dataset=TRAIN))
    refused(lambda: optimizer.initialize(value, scratch_seed=0))


@pytest.mark.parametrize("axes", [{"depth": 2}, {"hidden_size": 17}, {"hidden_size": 10**6}, {"num_hidden_layers": 99}])
def test_an_architecture_that_the_teacher_cannot_have_is_refused(optimizer: OSEOptimizer, axes: Any) -> None:
    refused(lambda: optimizer.initialize(Architecture(axes), calibration_dataset=TRAIN))


@pytest.mark.parametrize("value", ["x", 1.5, -1, True])
def test_a_seed_that_is_no_whole_number_is_refused(optimizer: OSEOptimizer, value: Any) -> None:
    assert "scratch_seed" in str(refused(lambda: optimizer.initialize(SMALL, scratch_seed=value)))


def test_a_search_result_stands_for_its_architecture(optimizer: OSEOptimizer) -> None:
    found = optimizer.extract(FAST, train_dataset=TRAIN, eval_dataset=DEV)
    student = optimizer.initialize(found)
    assert student.config.hidden_size == found.architecture.hidden_size
    assert optimizer.initialize(dict(found.architecture)).config.to_dict() == student.config.to_dict()


@pytest.mark.parametrize("value", [None, {}, "out", 5])
def test_arguments_of_another_kind_are_refused(
    optimizer: OSEOptimizer, student: Any, args: TrainingArguments, value: Any
) -> None:
    splits = {"train_dataset": TRAIN, "eval_dataset": DEV}
    refused(lambda: optimizer.finetune(student, **splits, args=value))
    refused(lambda: optimizer.finetune_teacher(TRAIN, DEV, value))
    refused(lambda: optimizer.finetune(student, **splits, args=args, callbacks=value or [value]))


def test_rows_made_before_with_classes_that_the_model_lacks_are_refused(
    optimizer: OSEOptimizer, student: Any, args: TrainingArguments
) -> None:
    rows = optimizer.rows(TRAIN)
    for label in (3, -1, 0.5):
        wrong = rows.remove_columns("labels").add_column("labels", [label] * len(rows))
        found = refused(lambda: optimizer.finetune(student, train_dataset=wrong, eval_dataset=DEV, args=args))  # noqa: B023
        assert isinstance(found, InvalidDataError)
        assert "whole numbers from 0 to 2" in str(found)


def test_test_rows_that_steer_are_told() -> None:
    with pytest.warns(UntouchedSplitWarning, match="12 of the 12 rows of test_dataset stand in eval_dataset too"):
        checked_splits(TRAIN, DEV, DEV)
    with pytest.warns(UntouchedSplitWarning, match="3 of the 12 rows"):
        checked_splits(TRAIN, DEV, datasets.concatenate_datasets([DEV.select(range(3)), TEST.select(range(9))]))


def test_precision_that_this_machine_lacks_is_refused(
    optimizer: OSEOptimizer, student: Any, args: TrainingArguments
) -> None:
    if torch.accelerator.is_available():
        pytest.skip("this machine has fp16")
    args.fp16 = True
    found = refused(lambda: optimizer.finetune(student, train_dataset=TRAIN, eval_dataset=DEV, args=args))
    assert "precision fp16; it cannot: it has no GPU" in str(found)
    found = refused(lambda: optimizer.distill(student, TRAIN, DistillationConfig(mixed_precision="fp16")))
    assert "precision fp16; it cannot: it has no GPU" in str(found)


FUNCTIONS: dict[str, Callable[[Any], object]] = {
    "derive_search_space": lambda value: derive_search_space(value),
    "reconfigure config": lambda value: reconfigure(value, SMALL),
    "extract space": lambda value: extract(
        value, parameter_size=lambda _: [], inference_cost=lambda _: [], error=lambda _a, _t: 0.0
    ),
    "run_agora learner": lambda value: run_agora(
        value, value, points=[[0.0]], labels=[0], dev_points=[[1.0]], dev_labels=[0], perturbation=lambda *_: []
    ),
    "SearchSpace.of": lambda value: SearchSpace.of(value, maximum_point=SMALL),
    "w_coefficient": lambda value: w_coefficient(value, value),
}


@pytest.mark.parametrize("value", [None, 5, "text", [1], AgoraConfig()])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_public_functions_refuse_what_they_cannot_take(function: str, value: Any) -> None:
    refused(lambda: FUNCTIONS[function](value))


def test_reconfigure_needs_an_architecture(optimizer: OSEOptimizer) -> None:
    for value in (None, 5, "small", [1]):
        refused(lambda: reconfigure(optimizer.teacher.config, value))  # noqa: B023
    assert from_scratch(optimizer.teacher, SMALL, task="text-classification", seed=0).config.hidden_size == 16


ODD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"metric_for_best_model": "foo", "eval_strategy": "steps", "eval_steps": 1}, "f1_macro; got 'foo'"),
    ({"load_best_model_at_end": True, "eval_strategy": "no", "save_strategy": "steps"}, "must evaluate during"),
    (
        {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "steps"},
        "save_strategy='steps' and eval_strategy='epoch'",
    ),
    ({"save_strategy": "best", "eval_strategy": "epoch"}, "must name the score that chooses"),
    ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "must evaluate during"),
    ({"label_names": ["foo"]}, "label_names"),
    ({"prediction_loss_only": True}, "prediction_loss_only"),
    ({"batch_eval_metrics": True}, "batch_eval_metrics"),
    ({"resume_from_checkpoint": "nothing"}, "resume_from_checkpoint in args"),
    ({"max_steps": -1, "num_train_epochs": 0}, "num_train_epochs in args must be a number above 0"),
    ({"max_steps": -1, "num_train_epochs": float("nan")}, "num_train_epochs in args must be a number above 0"),
    ({"max_steps": 0}, "max_steps in args must be a whole number of at least 1"),
    ({"max_steps": 1.5}, "max_steps in args"),
    ({"seed": "x"}, "seed in args"),
    ({"label_smoothing_factor": 2}, "label_smoothing_factor in args"),
    ({"learning_rate": -1.0}, "Invalid learning rate"),
    ({"adam_beta1": 2.0}, "Invalid beta"),
    ({"lr_scheduler_type": "cosine_with_min_lr"}, "lr_scheduler_kwargs"),
    ({"optim": "nonsense"}, "nonsense"),
    ({"per_device_train_batch_size": 0}, "per_device_train_batch_size in args"),
    ({"dataloader_num_workers": -1}, "num_workers"),
    ({"report_to": ["nonsense"]}, "report_to in args"),
]


@pytest.mark.parametrize("verb", ["finetune", "finetune_teacher"])
@pytest.mark.parametrize(("changes", "message"), ODD_ARGUMENTS, ids=lambda value: str(value)[:50])
def test_arguments_with_which_nothing_is_learned_or_judged_are_refused(
    optimizer: OSEOptimizer,
    student: Any,
    args: TrainingArguments,
    verb: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    for name, value in changes.items():
        setattr(args, name, value)
    calls = {
        "finetune": lambda: optimizer.finetune(student, train_dataset=TRAIN, eval_dataset=DEV, args=args),
        "finetune_teacher": lambda: optimizer.finetune_teacher(TRAIN, DEV, args),
    }
    models = (student, optimizer.teacher)
    before = [parameter.clone() for model in models for parameter in model.parameters()]
    found = refused(calls[verb])
    assert message in str(found)
    assert isinstance(found, InvalidConfigError)
    assert all(map(torch.equal, before, [parameter for model in models for parameter in model.parameters()]))


def test_early_stopping_needs_a_score_to_watch(optimizer: OSEOptimizer, student: Any, args: TrainingArguments) -> None:
    splits = {"train_dataset": TRAIN, "eval_dataset": DEV}
    stop = EarlyStoppingCallback()
    assert "must name the score that chooses" in str(
        refused(lambda: optimizer.finetune(student, **splits, args=args, callbacks=[stop]))
    )


def test_output_dir_must_not_be_a_file(optimizer: OSEOptimizer, student: Any, args: TrainingArguments) -> None:
    file = Path(args.output_dir).parent / "file"
    file.touch()
    args.output_dir = str(file / "inside")
    found = refused(lambda: optimizer.finetune(student, train_dataset=TRAIN, eval_dataset=DEV, args=args))
    assert "output_dir in args must be a folder" in str(found)


@pytest.mark.parametrize("name", ["checkpoint_folder", "answers_folder"])
def test_a_file_in_place_of_a_folder_is_refused(
    optimizer: OSEOptimizer, student: Any, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "inside"):
        folders: dict[str, Any] = {name: path}
        assert f"{name} must be a folder" in str(refused(lambda: optimizer.distill(student, TRAIN, **folders)))  # noqa: B023


@pytest.mark.parametrize("verb", ["distill", "finetune"])
def test_a_student_that_cannot_learn_is_refused(
    optimizer: OSEOptimizer, student: Any, args: TrainingArguments, tmp_path: Path, verb: str
) -> None:
    cases = {
        "lie on the device meta": copy.deepcopy(student).to("meta"),
        "are frozen": copy.deepcopy(student).requires_grad_(False),
        "torch.float16": copy.deepcopy(student).half(),
        "torch.bfloat16": copy.deepcopy(student).bfloat16(),
    }
    for message, model in cases.items():
        assert message in str(refused(lambda: VERBS_OF_STUDENT[verb](optimizer, model, args, tmp_path)))  # noqa: B023


@pytest.mark.parametrize("verb", ["export", "score"])
def test_weights_without_values_answer_nothing(
    optimizer: OSEOptimizer, student: Any, args: TrainingArguments, tmp_path: Path, verb: str
) -> None:
    empty = copy.deepcopy(student).to("meta")
    assert "on the device meta" in str(
        refused(lambda: VERBS_OF_STUDENT[verb](optimizer, empty, args, tmp_path / "out"))
    )
    assert not (tmp_path / "out").exists()
    assert "on the device meta" in str(
        refused(lambda: OSEOptimizer(empty, optimizer.tokenizer, task="text-classification"))
    )


@pytest.mark.parametrize("value", [5, "bar", print, object])
def test_a_listener_that_hears_nothing_is_refused(optimizer: OSEOptimizer, teacher_folder: Path, value: Any) -> None:
    calls = (
        lambda: OSEOptimizer.from_pretrained(teacher_folder, listener=value),
        lambda: OSEOptimizer(optimizer.teacher, optimizer.tokenizer, task="text-classification", listener=value),
    )
    for call in calls:
        assert "listener must have the methods" in str(refused(call))


def test_a_random_head_is_neither_scored_nor_exported_nor_inherited(headless_folder: Path, tmp_path: Path) -> None:
    headless = OSEOptimizer.from_pretrained(headless_folder, num_labels=len(THEMES), max_length=32)
    teacher = headless.teacher
    calls: list[Callable[[], object]] = [
        lambda: headless.score(teacher, DEV),
        lambda: headless.scores(teacher, DEV),
        lambda: headless.served_score(tmp_path / "out", DEV),
        lambda: headless.export(teacher, tmp_path / "out"),
        lambda: headless.initialize(SMALL, calibration_dataset=TRAIN),
        lambda: headless.initialize(SMALL, scratch_seed=0),
        lambda: headless.distill(copy.deepcopy(teacher), TRAIN),
        lambda: headless.extract(FAST, train_dataset=TRAIN, eval_dataset=DEV),
    ]
    for call in calls:
        assert "Fine-tune the teacher first" in str(refused(call))
    assert not (tmp_path / "out").exists()
