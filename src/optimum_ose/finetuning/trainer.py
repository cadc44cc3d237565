"""A stock Trainer set up for a student: padding, metrics and, if wanted, Agora."""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
from transformers import (
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.collator import AgoraDataCollator
from optimum_ose.finetuning.labeling import answers_per_token
from optimum_ose.finetuning.metrics import compute_metrics_for
from optimum_ose.finetuning.perturbation import TextPerturbation
from optimum_ose.finetuning.soft_labels import soft_cross_entropy
from optimum_ose.modeling.tasks import Problem, problem_of

AGORA_PROBLEMS: tuple[Problem, ...] = ("single-label", "token-labels")
"""Kinds of labels that Agora finds mistakes in and can keep while it changes a text."""


def build_trainer(
    model: PreTrainedModel,
    args: TrainingArguments,
    *,
    train_dataset: datasets.Dataset,
    eval_dataset: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    agora: AgoraConfig | None = None,
    labeler: PreTrainedModel | None = None,
    labeler_dataset: datasets.Dataset | None = None,
    labeler_logits: Callable[[], Sequence[Sequence[float]]] | None = None,
    test_dataset: datasets.Dataset | None = None,
    perturbation: TextPerturbation | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    task: str = "text-classification",
) -> Trainer:
    """A `transformers.Trainer` for sequences or tokens with labels, with Agora if `agora` is given.

    The loss is averaged over accumulation steps and processes. (Trainer 5 leaves that to every model that takes keyword
    arguments, and most classifiers do not do it; hence `model_accepts_loss_kwargs = False`.)

    Args:
        model: the student.
        args: of the Trainer, used as they are.
        train_dataset: rows with `input_ids`, `attention_mask`, `labels` and, where the tokenizer makes them,
            `token_type_ids`.
        eval_dataset: development set, of the same columns. Agora samples around its mistaken rows, after which the
            accuracy on it is optimistic: report on a third set.
        tokenizer: shared by student and labeler.
        agora: settings of Agora; None: plain fine-tuning.
        labeler: classifier over the same classes, not trained on `eval_dataset`; needed with `agora`. Moved to the
            Trainer's device.
        labeler_dataset: rows on which the labeler is examined; default: `eval_dataset`.
        labeler_logits: gives the labeler's (rows x classes) logits for `train_dataset`, asked for if soft labels need
            them; default: they are computed.
        test_dataset: a third set, for Agora's report; it steers nothing. Without one, a warning is logged.
        perturbation: Agora's tau; default: neighbors in the labeler's input embeddings.
        callbacks: further callbacks of the Trainer.
        task: "text-classification" or "token-classification".

    Raises:
        InvalidConfigError: if `agora` comes without a labeler, or with `args` that keep new rows out of all batches; or
            if `args` would wrap the model in DataParallel.
    """
    if args.n_gpu > 1:
        raise InvalidConfigError(
            "Several devices must have a process each, started by `accelerate launch` or `torchrun`",
            f"one process sees {args.n_gpu}, and a Trainer would wrap the model in torch.nn.DataParallel",
            "Launch several processes, or set CUDA_VISIBLE_DEVICES to one device",
        )
    collator: Any = DataCollatorWithPadding(tokenizer)
    if task == "token-classification":
        collator = DataCollatorForTokenClassification(tokenizer)
    agora_callbacks, loss = list[TrainerCallback](), None
    if agora is not None:
        if (problem := problem_of(task, model.config)) not in AGORA_PROBLEMS:
            raise InvalidConfigError(
                "Agora makes new rows of texts with a class each, or a class for each word",
                f"the labels of this model are of the kind {problem}",
                "Pass agora=None: plain fine-tuning",
            )
        if labeler is None:
            raise InvalidConfigError("Agora needs a labeler", "labeler=None", "Pass the fine-tuned teacher as labeler")
        soft_targets = agora.soft_labels and not answers_per_token(labeler)
        collator = AgoraDataCollator(tokenizer, config=agora, soft_targets=soft_targets)
        loss = soft_cross_entropy if soft_targets else None
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
    trainer = Trainer(
        model=model,
        args=args,
        data_collator=collator,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=tokenizer,
        compute_metrics=compute_metrics_for(task, model.config),
        compute_loss_func=loss,
        callbacks=[*agora_callbacks, *callbacks],
    )
    trainer.model_accepts_loss_kwargs = False
    return trainer
