"""Checks TrainingArguments before a Trainer begins: what it would refuse late, or let pass untrained or unjudged."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import get_reporting_integration_callbacks
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.guards import folder_or_none, require_whole_number
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.health import require_trainer_precision
from optimum_ose.tasks.parts.problem import Metric
from optimum_ose.wording import listed, one_line, shown

_COUNTS = ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps")
_LOSS = "loss"


def require_usable_arguments(
    args: TrainingArguments,
    *,
    num_rows: int,
    metric: Metric,
    labels_are_classes: bool,
    callbacks: Sequence[TrainerCallback] = (),
    owner: str = "args",
) -> None:
    """Pass if a Trainer can train at least a step with its arguments, and judge it by the task's metric.

    Args:
        args: of the Trainer.
        num_rows: training rows.
        metric: of the task.
        labels_are_classes: whether each label is the index of a class.
        callbacks: of the Trainer.
        owner: the setting that they come from, for the message.

    Raises:
        InvalidConfigError: naming the argument that is at fault.
    """
    require_reports(args, owner)
    for setting in _COUNTS:
        require_whole_number(getattr(args, setting), f"{setting} in {owner}", least=1)
    require_whole_number(args.seed, f"seed in {owner}", least=0)
    folder_or_none(args.output_dir, f"output_dir in {owner}")
    _require_duration(args, owner)
    _require_rows(args, num_rows, owner)
    _require_scores(args, metric, owner, labels_are_classes=labels_are_classes)
    _require_best_metric(args, metric, callbacks, owner)
    _require_evaluations(args, callbacks, owner)
    if args.resume_from_checkpoint is not None:
        raise InvalidConfigError(
            f"resume_from_checkpoint in {owner} must be left out: output_dir holds the checkpoints",
            f"got {shown(args.resume_from_checkpoint)}",
            f"Leave it out; training resumes from the last checkpoint in {args.output_dir}",
        )
    require_trainer_precision(args, owner)


def require_reports(args: TrainingArguments, owner: str) -> None:
    """Pass if the trackers that arguments name are installed.

    Raises:
        InvalidConfigError: if one is not.
    """
    try:
        for callback in get_reporting_integration_callbacks(args.report_to):
            callback()
    except (ImportError, RuntimeError, ValueError, KeyError) as error:
        raise InvalidConfigError(
            f"report_to in {owner} must name trackers that are installed",
            f"got {shown(args.report_to)}: {one_line(error, limit=200).rstrip('. ')}",
            "Install the package, or leave the tracker out",
        ) from error


def require_startable(trainer: Trainer, owner: str = "args") -> None:
    """Pass if a Trainer can make its batches, its optimizer and its schedule; its model is left as it is.

    Raises:
        InvalidConfigError: with what Transformers says.
    """
    made: Any = trainer
    try:
        made.get_train_dataloader()
        made.get_eval_dataloader()
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(made.args, made.model)
        if not {"params", "model", "optimizer_dict"} & settings.keys():
            optimizer = kind([torch.nn.Parameter(torch.zeros(1))], **settings)
            further = made.args.lr_scheduler_kwargs or {}
            get_scheduler(made.args.lr_scheduler_type, optimizer, 0, 1, scheduler_specific_kwargs=dict(further))
    except BUILD_ERRORS as error:
        raise refused_arguments(owner, error) from error


def refused_arguments(owner: str, error: Exception) -> InvalidConfigError:
    """What to raise where a Trainer does not take its arguments."""
    return InvalidConfigError(
        f"{owner} must hold arguments with which a Trainer can train here",
        f"transformers refuses them: {one_line(error, limit=300).rstrip('. ') or type(error).__name__}",
        "Correct or remove the argument, and run the command again",
    )


def _require_duration(args: TrainingArguments, owner: str) -> None:
    if args.max_steps != -1:  # what Transformers takes for "as many as the epochs have"
        require_whole_number(args.max_steps, f"max_steps in {owner}", least=1)
        return
    epochs: Any = args.num_train_epochs
    if not isinstance(epochs, int | float) or not math.isfinite(epochs) or epochs <= 0:
        raise InvalidConfigError(
            f"num_train_epochs in {owner} must be a number above 0",
            f"got {shown(epochs)}",
            "Change num_train_epochs, or set max_steps",
        )


def _require_rows(args: TrainingArguments, num_rows: int, owner: str) -> None:
    if args.dataloader_drop_last and num_rows < args.train_batch_size:
        raise InvalidConfigError(
            f"A batch of {owner} must not be larger than the training rows where dataloader_drop_last is true",
            f"a batch has {args.train_batch_size:,} rows, and there are {num_rows:,}",
            "Set dataloader_drop_last to false, or make batches smaller",
        )


def _require_scores(args: TrainingArguments, metric: Metric, owner: str, *, labels_are_classes: bool) -> None:
    if args.prediction_loss_only or args.batch_eval_metrics or (args.label_names or ["labels"]) != ["labels"]:
        wrong = {
            "prediction_loss_only": bool(args.prediction_loss_only),
            "batch_eval_metrics": bool(args.batch_eval_metrics),
            "label_names": (args.label_names or ["labels"]) != ["labels"],
        }
        names = [name for name, is_wrong in wrong.items() if is_wrong]
        raise InvalidConfigError(
            f"{owner} must let the labels of the column 'labels' be judged by {metric.name}",
            f"got {listed(f'{name}={shown(getattr(args, name))}' for name in names)}",
            f"Leave {listed(names)} out",
        )
    smoothing = args.label_smoothing_factor
    if not 0 <= smoothing < 1 or (smoothing and not labels_are_classes):
        raise InvalidConfigError(
            f"label_smoothing_factor in {owner} must be at least 0 and below 1, and 0 unless a label is one class",
            f"got {smoothing:g} for labels that are judged by {metric.name}",
            "Change label_smoothing_factor, or leave it out",
        )


def _require_best_metric(
    args: TrainingArguments, metric: Metric, callbacks: Sequence[TrainerCallback], owner: str
) -> None:
    """The score that chooses a checkpoint must be one that is measured."""
    name, known = args.metric_for_best_model, (_LOSS, *metric.score_names)
    if name is not None and str(name).removeprefix("eval_") not in known:
        raise InvalidConfigError(
            f"metric_for_best_model in {owner} must be a score of the task: {listed(known)}",
            f"got {shown(name)} (eval_{str(name).removeprefix('eval_')})",
            f"Use {metric.name}, or leave it out",
        )
    if name is None and (_stops_early(callbacks) or SaveStrategy(args.save_strategy) == SaveStrategy.BEST):
        raise InvalidConfigError(
            f"metric_for_best_model in {owner} must name the score that chooses", "got none", f"Use {metric.name}"
        )


def _require_evaluations(args: TrainingArguments, callbacks: Sequence[TrainerCallback], owner: str) -> None:
    """Scores that choose a checkpoint or the learning rate must be there when they are needed."""
    saves, evaluates = SaveStrategy(args.save_strategy), IntervalStrategy(args.eval_strategy)
    is_loaded, stops = bool(args.load_best_model_at_end), _stops_early(callbacks)
    plateau = str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)) == "reduce_lr_on_plateau"
    if (is_loaded or stops or plateau or saves == SaveStrategy.BEST) and evaluates == IntervalStrategy.NO:
        raise InvalidConfigError(
            f"{owner} must evaluate during the training where a score chooses checkpoints or the learning rate",
            f"got eval_strategy={evaluates.value!r}",
            "Set eval_strategy to 'epoch' or 'steps'",
        )
    if is_loaded and saves != SaveStrategy.BEST and saves.value != evaluates.value:
        raise InvalidConfigError(
            f"{owner} must save whenever it evaluates where the best model is loaded at the end",
            f"got save_strategy={saves.value!r} and eval_strategy={evaluates.value!r}",
            "Make both the same",
        )
    if stops and not is_loaded:
        raise InvalidConfigError(
            f"{owner} must load the best model at the end where EarlyStoppingCallback is used",
            "got load_best_model_at_end=False",
            "Set it to True",
        )


def _stops_early(callbacks: Sequence[TrainerCallback]) -> bool:
    return any(isinstance(callback, EarlyStoppingCallback) for callback in callbacks)
