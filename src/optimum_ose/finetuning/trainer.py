"""A stock Trainer set up for a student: padding, metrics and, if wanted, Agora."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import datasets
import numpy as np
from transformers import (
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    EvalPrediction,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from optimum_ose.configuration import AgoraConfig
from optimum_ose.data.batching import pad_rows
from optimum_ose.data.given import plain_dataset, require_known_classes
from optimum_ose.data.groups import without_groups
from optimum_ose.exceptions import InvalidConfigError, ProcessError
from optimum_ose.finetuning.arguments import refused_arguments, require_startable, require_usable_arguments
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.collator import AgoraDataCollator
from optimum_ose.finetuning.dropout import WithoutDropout
from optimum_ose.finetuning.epoch_start import EpochStart
from optimum_ose.finetuning.labeling import answers_per_token
from optimum_ose.finetuning.perturbation import TextPerturbation
from optimum_ose.finetuning.soft_labels import soft_cross_entropy
from optimum_ose.modeling.health import require_learnable
from optimum_ose.modeling.prediction import num_classes
from optimum_ose.preprocessing import WRITTEN, Preprocessor, holds_choices, without_lengths
from optimum_ose.processes import launched_processes
from optimum_ose.tasks import DEFAULT_TASK, distillable_task, labeled_task
from optimum_ose.tasks.parts.grouped import GroupMetric
from optimum_ose.tasks.parts.problem import Metric, Problem


def takes_agora(task: str, config: PretrainedConfig) -> bool:
    """Whether Agora can make new rows of a task: of texts, with labels that it can keep."""
    found = distillable_task(task)
    return found.has_labels and found.inputs.takes_agora and found.problem(config).labels_are_classes


def build_trainer(
    model: PreTrainedModel,
    args: TrainingArguments,
    *,
    train_dataset: datasets.Dataset,
    eval_dataset: datasets.Dataset,
    tokenizer: Preprocessor,
    agora: AgoraConfig | None = None,
    labeler: PreTrainedModel | None = None,
    labeler_dataset: datasets.Dataset | None = None,
    labeler_logits: Callable[[], Sequence[Sequence[float]]] | None = None,
    test_dataset: datasets.Dataset | None = None,
    perturbation: TextPerturbation | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    task: str = DEFAULT_TASK,
    metric: Metric | None = None,
    owner: str = "args",
) -> Trainer:
    """A `transformers.Trainer` for sequences, tokens or images with labels, with Agora if `agora` is given.

    The loss is averaged over accumulation steps and processes. (Trainer 5 leaves that to every model that takes keyword
    arguments, and most classifiers do not do it; hence `model_accepts_loss_kwargs = False`.)

    Args:
        model: the student.
        args: of the Trainer, used as they are; for images and sounds a copy of them that keeps their
            column, and groups nothing by length.
        train_dataset: rows with `input_ids`, `attention_mask`, `labels` and, where the tokenizer makes them,
            `token_type_ids`; or with `image` and `labels`.
        eval_dataset: development set, of the same columns. Agora samples around its mistaken rows, after which the
            accuracy on it is optimistic: report on a third set.
        tokenizer: shared by student and labeler; of images their processor.
        agora: settings of Agora; None: plain fine-tuning.
        labeler: classifier over the same classes, not trained on `eval_dataset`; needed with `agora`. Moved to the
            Trainer's device.
        labeler_dataset: rows on which the labeler is examined; default: `eval_dataset`.
        labeler_logits: gives the labeler's (rows x classes) logits for `train_dataset`, asked for if soft labels need
            them; default: they are computed.
        test_dataset: a third set, for Agora's report; it steers nothing. Without one, a warning is logged.
        perturbation: Agora's tau; default: neighbors in the labeler's input embeddings.
        callbacks: further callbacks of the Trainer.
        task: whose rows have labels.
        metric: how answers are judged; None: as the task says.
        owner: the setting that `args` come from, for messages.

    Raises:
        InvalidConfigError: if `agora` comes without a labeler, or with `args` that keep new rows out of all batches; or
            if `args` would wrap the model in DataParallel, or need a precision that this machine lacks.
        InvalidDataError: if a set is empty, or has labels that are no classes of the model.
        ProcessError: if the launcher started several processes that `args` do not connect.
    """
    _require_usable(args)
    require_learnable(model)
    definition = labeled_task(task)
    metric = metric or definition.metric(model.config)
    datasets_by_role = {"train_dataset": train_dataset, "eval_dataset": eval_dataset, "test_dataset": test_dataset}
    for role, rows in datasets_by_role.items():
        if rows is not None or role != "test_dataset":
            _require_rows(rows, model, task, role)
    problem = definition.problem(model.config)
    require_usable_arguments(
        args,
        num_rows=len(train_dataset),
        metric=metric,
        labels_are_classes=problem.labels_are_classes,
        callbacks=callbacks,
        owner=owner,
    )
    collator = _collator(tokenizer, train_dataset, problem)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        args = _for_raw_rows(args)
    agora_callbacks, loss = list[TrainerCallback](), partial(_own_loss, problem) if problem.has_own_loss else None
    if agora is not None:
        tokenizer, labeler = _require_agora(tokenizer, labeler, task=task, model=model)
        soft_targets = agora.soft_labels and not answers_per_token(labeler)
        collator = AgoraDataCollator(tokenizer, config=agora, soft_targets=soft_targets)
        loss = partial(soft_cross_entropy, temperature=agora.label_temperature) if soft_targets else None
        labeler.to(args.device)  # type: ignore[arg-type]  # the stub of the decorated method lost `self`
        agora_callbacks.append(
            AgoraCallback(
                collator,
                labeler,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                labeler_dataset=labeler_dataset,
                labeler_logits=labeler_logits,
                test_dataset=test_dataset,
                perturbation=perturbation,
            )
        )
        agora_callbacks += [WithoutDropout()] if soft_targets else []
    try:
        trainer = Trainer(
            model=model,
            args=args,
            data_collator=collator,
            train_dataset=without_groups(train_dataset),
            eval_dataset=without_groups(eval_dataset),
            processing_class=tokenizer,
            compute_metrics=metric.compute,
            compute_loss_func=loss,
            preprocess_logits_for_metrics=problem.kept_of_batch,
            callbacks=[*(agora_callbacks or [EpochStart()]), *callbacks],
        )
    except (ValueError, TypeError, ImportError) as error:
        raise refused_arguments(owner, error) from error
    if isinstance(metric, GroupMetric):
        trainer.compute_metrics = partial(_judged_in_order, trainer, metric, eval_dataset)
    require_startable(trainer, owner)
    trainer.model_accepts_loss_kwargs = False
    return trainer


def _require_agora(
    tokenizer: Preprocessor, labeler: PreTrainedModel | None, *, task: str, model: PreTrainedModel
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """The tokenizer and the labeler, if Agora can make rows for a model's task.

    Raises:
        InvalidConfigError: if it cannot, or there is no labeler.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not takes_agora(task, model.config):
        definition = labeled_task(task)
        kind = f"kind {definition.problem(model.config).name} and its inputs {definition.inputs.name}"
        raise InvalidConfigError(
            "Agora makes new rows of texts with a class each, or a class for each word",
            f"the labels of this model are of the {kind}",
            "Pass agora=None: plain fine-tuning",
        )
    if labeler is None:
        raise InvalidConfigError("Agora needs a labeler", "labeler=None", "Pass the fine-tuned teacher as labeler")
    return tokenizer, labeler


def _collator(tokenizer: Preprocessor, train_dataset: datasets.Dataset, problem: Problem) -> Any:
    """Makes batches of rows: of texts padded, of choices and of texts with targets by our own padding."""
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return without_lengths(pad_rows(tokenizer))
    has_choices = len(train_dataset) > 0 and holds_choices(train_dataset[0].get("input_ids") or ())
    if has_choices or WRITTEN in train_dataset.column_names:
        return pad_rows(tokenizer)
    return (DataCollatorForTokenClassification if problem.labels_tokens else DataCollatorWithPadding)(tokenizer)


def _own_loss(problem: Problem, output: Any, labels: Any, **_: Any) -> Any:
    """The problem's loss of a batch, as a Trainer takes it."""
    if problem.label_loss is None:
        raise TypeError(f"{problem.name} has no loss of labels")
    return problem.label_loss(output, {"labels": labels})


def _judged_in_order(
    trainer: Trainer, metric: GroupMetric, rows: datasets.Dataset, prediction: EvalPrediction
) -> dict[str, float]:
    """A benchmark's scores of rows in the order in which a Trainer answers them, which lengths may decide."""
    found: Any = trainer.eval_dataset
    sampler: Any = trainer._get_eval_sampler(found)
    order = rows if sampler is None else rows.select(list(sampler))
    if not np.array_equal(np.asarray(order["labels"][:]), np.asarray(prediction.label_ids)):
        raise InvalidConfigError(
            "Development rows that belong together must be answered in the order of the Trainer's sampler",
            "they came in another one",
            "Leave options that reorder evaluation out of the training arguments",
        )
    return metric.compute(prediction, order)


def _require_usable(args: TrainingArguments) -> None:
    if args.n_gpu > 1:
        raise InvalidConfigError(
            "Several devices must have a process each, started by `accelerate launch` or `torchrun`",
            f"one process sees {args.n_gpu}, and a Trainer would wrap the model in torch.nn.DataParallel",
            "Launch several processes, or set CUDA_VISIBLE_DEVICES to one device",
        )
    if args.world_size != (started := launched_processes()):
        raise ProcessError(
            "TrainingArguments must connect all processes of a launch",
            f"the launcher started {started}, and these arguments know of {args.world_size}",
            "Pass use_cpu=True to TrainingArguments where there is no accelerator, or start a single process",
        )


def _require_rows(rows: datasets.Dataset, model: PreTrainedModel, task: str, role: str) -> None:
    plain = plain_dataset(rows, role)
    if labeled_task(task).problem(model.config).labels_are_classes and "labels" in plain.column_names:
        require_known_classes(plain, num_classes(model), role)


def _for_raw_rows(args: TrainingArguments) -> TrainingArguments:
    """The collator reads images or sounds, in columns that no model names; they have no length that Trainer knows."""
    changed: Any = copy.copy(args)
    changed.remove_unused_columns = False
    changed.group_by_length = False
    if hasattr(args, "train_sampling_strategy"):  # of transformers 5, in which it replaces the former
        changed.train_sampling_strategy = "random"
    return changed  # type: ignore[no-any-return]
