"""Checks before the first training: what would fail in a later stage is refused now."""

import math
import shutil
from collections.abc import Mapping

from accelerate.tracking import filter_trackers
from transformers import TrainingArguments

from optimum_ose.configuration import AgoraConfig, DistillationConfig
from optimum_ose.core.labeler import check_labeler
from optimum_ose.distillation.candidates import short_run
from optimum_ose.distillation.local_process import num_processes
from optimum_ose.distillation.pupil import require_one_stack, show_attentions
from optimum_ose.elastic.measuring import require_measurable
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError
from optimum_ose.export.onnx_export import require_exportable_weights
from optimum_ose.finetuning.arguments import require_usable_arguments
from optimum_ose.finetuning.labeling import answer, answers_per_token, flat_labels, label_of
from optimum_ose.finetuning.pool import labeled_rows
from optimum_ose.finetuning.schedule import plan_rounds
from optimum_ose.finetuning.trainer import takes_agora
from optimum_ose.modeling.dimension_map import derive_dimension_map
from optimum_ose.modeling.health import require_precision
from optimum_ose.modeling.importance import require_inheritable
from optimum_ose.optimizer.trainer_arguments import student_arguments, teacher_arguments
from optimum_ose.pipeline.dependencies import Stage, stages_to_do
from optimum_ose.pipeline.rehearsal import rehearse_export, rehearse_training, smallest_student
from optimum_ose.pipeline.run import Run
from optimum_ose.wording import listed

_FOLDER = "rehearsal"
"""Output folder of arguments that are built and thrown away."""
_COPIES_OF_TEACHER = 3
"""Teachers' sizes that a run writes: its ONNX files, its weights beside them, checkpoints of students."""
_COPIES_OF_TRAINING = 4
"""Of a teacher that is fine-tuned here: its weights, and a checkpoint with two moments of the optimizer."""


def preflight(run: Run) -> None:
    """Refuse now what a stage that is still to do would refuse later. Takes seconds.

    Raises:
        OSEError: naming the setting, file or model at fault.
    """
    to_do = stages_to_do(run.artifact)
    if not to_do.keys() - {"benchmark", "report"}:
        return
    if run.optimizer.problem.judge is not None:
        _check_without_labels(run, to_do)
    arguments = _checked_arguments(run, to_do)
    _check_distillation(run.config.distillation, to_do)
    _check_search(run, to_do)
    _check_disk(run, to_do)
    require_one_stack(run.config.distillation, run.optimizer.teacher)
    if {"distill", "extract"} & to_do.keys() and run.config.distillation.attention_weight:
        show_attentions(run.optimizer.teacher)
    if "student_arguments" in arguments:
        _check_agora(run, arguments["student_arguments"], to_do)
    if num_processes() == 1:
        _rehearse(run, to_do, arguments)


def fitting_agora(run: Run) -> AgoraConfig | None:
    """The run's Agora, if it can make rows of this task."""
    optimizer = run.optimizer
    return run.config.agora if takes_agora(optimizer.task, optimizer.teacher.config) else None


def check_labeler_of(run: Run) -> None:
    """Pass if the teacher, whose head is trained, is accurate enough on the validation rows to label Agora's new rows.

    Raises:
        LabelerError: if it is not.
    """
    optimizer, agora = run.optimizer, fitting_agora(run)
    tokenizer = optimizer.text_tokenizer
    if agora is None or tokenizer is None:
        return
    teacher, rows = optimizer.teacher, optimizer.rows(run.rows.validation)
    per_token = answers_per_token(teacher)
    features, gold = labeled_rows(rows, input_names=tokenizer.model_input_names, per_token=per_token)
    logits = answer(teacher, features, tokenizer=tokenizer, batch_size=64)
    found = [label_of(of_row, label) for of_row, label in zip(logits, gold, strict=True)]
    check_labeler(flat_labels(found), flat_labels(gold), minimum_accuracy=agora.minimum_labeler_accuracy)


def _check_without_labels(run: Run, to_do: Mapping[Stage, str]) -> None:
    """Say what is left out of a run whose rows have no labels; refuse what was asked for and needs some.

    Raises:
        InvalidConfigError: if Agora, or arguments of fine-tuning, were asked for.
    """
    if not run.optimizer.has_head:
        raise InvalidConfigError(
            f"The teacher must have a trained head for {run.optimizer.task}, which texts alone do not give it",
            f"this {type(run.optimizer.teacher).__name__} has a new, random one",
            "Choose a checkpoint that was saved with its head",
        )
    asked = run.artifact.request.get("config", {})
    named = [name for name in ("student_arguments", "teacher_arguments") if asked.get(name)]
    if _is_asked_for(run) or named:
        raise InvalidConfigError(
            "Fine-tuning, and Agora in it, need rows with labels",
            f"{run.optimizer.task} has none, and {listed(['agora'] * _is_asked_for(run) + named)} was asked for",
            "Leave it out: the student learns from its teacher alone",
        )
    run.optimizer.require_searchable(run.config.search)
    for rows in (run.rows.test, run.rows.validation):
        run.optimizer.asked(rows)
    if "finetune" in to_do:
        run.optimizer.listener.say("the task has no labels: the student is distilled, and not fine-tuned")


def _checked_arguments(run: Run, to_do: Mapping[Stage, str]) -> dict[str, TrainingArguments]:
    """The arguments of the trainings that are to do, built as the stages build them."""
    config, teacher, found = run.config, run.optimizer.teacher.config, dict[str, TrainingArguments]()
    if run.optimizer.problem.judge is not None:
        return found
    folder = run.artifact.checkpoints / _FOLDER
    if "teacher" in to_do:
        found["teacher_arguments"] = teacher_arguments(
            folder, teacher, config.teacher_arguments, num_rows=len(run.rows.train)
        )
    if "finetune" in to_do:
        found["student_arguments"] = student_arguments(folder, config.student_arguments)
    for name, arguments in found.items():
        _check_use(name, arguments, run)
    return found


def _check_use(name: str, arguments: TrainingArguments, run: Run) -> None:
    """Refuse what a rehearsal on a few rows cannot show."""
    require_usable_arguments(
        arguments,
        num_rows=len(run.rows.train),
        metric=run.optimizer.metric,
        labels_are_classes=run.optimizer.problem.labels_are_classes,
        owner=name,
    )
    if arguments.push_to_hub:
        raise InvalidConfigError(
            f"push_to_hub in {name} must be left out: it would upload an unfinished model",
            "got true",
            "Leave it out; push the finished folder (push_to_hub of the artifact, or `run --push-to-hub`)",
        )


def _check_distillation(config: DistillationConfig, to_do: Mapping[Stage, str]) -> None:
    if "distill" not in to_do:
        return
    try:
        known = {str(tracker) for tracker in filter_trackers(list(config.log_with), ".")}
    except ValueError:
        known = set()
    if missing := sorted(set(config.log_with) - known):
        raise InvalidConfigError(
            "log_with must name trackers of Accelerate whose package is installed",
            f"got {listed(missing)}",
            "Install the package, or leave the tracker out",
        )
    require_precision(config.mixed_precision)


def _check_search(run: Run, to_do: Mapping[Stage, str]) -> None:
    config = run.config
    if "extract" in to_do:
        run.optimizer.require_searchable(config.search)
    if "extract" in to_do and not config.search.trains_candidates:
        require_measurable(run.optimizer.problem)
        require_precision(config.search.elastic.mixed_precision)
        if config.search.method == "inherited":
            require_inheritable(derive_dimension_map(run.optimizer.teacher.config, run.optimizer.task))
    elif "extract" in to_do:
        for theta in config.search.hyperparameters:
            short_run(config.search, theta, 0)


def _check_disk(run: Run, to_do: Mapping[Stage, str]) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in run.optimizer.teacher.parameters())
    copies = _COPIES_OF_TEACHER if "export" in to_do else 1
    copies += _COPIES_OF_TRAINING if "teacher" in to_do and not run.optimizer.has_head else 0
    free = shutil.disk_usage(run.artifact.path).free
    if free < copies * size:
        raise OutputFolderError(
            f"The disk of {run.artifact.path} must have room for the run, about {copies * size / 1e6:,.1f} MB",
            f"{free / 1e6:,.1f} MB are free",
            "Free disk space, or choose another folder; the same command then continues",
        )


def _check_agora(run: Run, arguments: TrainingArguments, to_do: Mapping[Stage, str]) -> None:
    """Agora that was asked for must fit the task; the default one that does not is left out, and said to be.

    The labeler is examined here only if the teacher was judged before: what is wrong with it as a teacher comes first.
    """
    optimizer, agora = run.optimizer, run.config.agora
    if agora is None:
        return
    if fitting_agora(run) is None:
        kind = optimizer.task if optimizer.text_tokenizer is None else f"{optimizer.problem.name} problems"
        if _is_asked_for(run):
            raise InvalidConfigError(
                "Agora makes new rows of texts with a class each, or a class for each word",
                f"the run is for {kind}",
                "Set agora: null, or leave agora out",
            )
        optimizer.listener.say(f"Agora does not make rows for {kind}: fine-tuning is plain")
        return
    num_rows = len(run.rows.train)
    batches = math.ceil(num_rows / arguments.train_batch_size)
    epoch = math.ceil(batches / arguments.gradient_accumulation_steps)
    steps = arguments.max_steps if arguments.max_steps >= 0 else math.ceil(arguments.num_train_epochs * epoch)
    plan_rounds(agora, arguments, num_train_rows=num_rows, max_steps=steps)
    if "teacher" not in to_do:
        check_labeler_of(run)


def _is_asked_for(run: Run) -> bool:
    agora = run.config.agora
    asked = run.artifact.request.get("config", {}).get("agora") is not None
    return asked or (agora is not None and agora != AgoraConfig(seed=agora.seed))


def _rehearse(run: Run, to_do: Mapping[Stage, str], arguments: Mapping[str, TrainingArguments]) -> None:
    optimizer, config, rows = run.optimizer, run.config, run.rows.train
    if not {"extract", "finetune", "export"} & to_do.keys():
        return
    student = smallest_student(optimizer, optimizer.search_space(config.search), config.search)
    if "export" in to_do:
        require_exportable_weights(optimizer.teacher)
        rehearse_export(optimizer, student, rows, config.export)
    for name, found in arguments.items():
        if name == "teacher_arguments" and optimizer.has_head:
            continue  # nobody trains with them
        agora = fitting_agora(run) if name == "student_arguments" and optimizer.has_head else None
        rehearse_training(optimizer, student, rows, found, name=name, agora=agora)
