"""The callback: at the end of each round it refills the collator's pool with new rows near the student's mistakes."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from optimum_ose.core.labeler import check_labeler
from optimum_ose.data.given import iterable_rows
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.finetuning.accumulation import AccumulatedLoss
from optimum_ose.finetuning.collator import AgoraDataCollator
from optimum_ose.finetuning.epoch_start import EpochStart, checkpoint_folder
from optimum_ose.finetuning.labeling import answer, answers_per_token, flat_labels, label_of
from optimum_ose.finetuning.perturbation import TextPerturbation
from optimum_ose.finetuning.pool import PoolReport, labeled_rows, row_key
from optimum_ose.finetuning.pool_file import POOL_FILE, read_pool, write_pool
from optimum_ose.finetuning.rounds import PoolBuilder
from optimum_ose.finetuning.schedule import RoundSchedule, plan_rounds
from optimum_ose.guards import require_kind
from optimum_ose.modeling.prediction import num_classes

NO_UNTOUCHED_SPLIT = (
    "Agora steers by its development set, whose accuracy is optimistic from then on: report on a third, untouched set; "
    "none was given (test_dataset)"
)
_LOGGER = logging.getLogger(__name__)


@final
class AgoraCallback(TrainerCallback):
    """Agora in a stock Trainer; a round is an epoch, or `epochs_per_round` of them, or `steps_per_round` steps.

        collator = AgoraDataCollator(tokenizer)
        callback = AgoraCallback(collator, teacher, train_dataset=train, eval_dataset=dev)
        Trainer(model, args, train_dataset=train, data_collator=collator, callbacks=[callback])

    At the start of training the labeler is examined. At the end of each round the student's mistakes on the development
    set are found, new token sequences near them are made and labeled, and they enter the pool that the collator mixes
    into the epochs of the next. What enters is a function of the seed, the round, the student's weights, the pool, the
    two sets and the labeler; the pool is saved in each checkpoint (`agora_pool.json`): a resumed run equals an
    undisturbed one. In a distributed run the first process builds the pool, and all share it. Where the Trainer gets a
    stream, which has no epochs, a round is as many steps as one pass over `train_dataset` takes.

    Gradients of accumulated batches are averaged: see `finetuning.accumulation`.

    Args:
        collator: the Trainer's `data_collator`; its `config` and tokenizer are used here too.
        labeler: classifier over the student's classes and tokens, not trained on `eval_dataset`; stays on its device.
        train_dataset: D as the Trainer gets it: tokenized rows with `labels`.
        eval_dataset: E, which steers the sampling: report results on a third set. It need not be the Trainer's.
        labeler_dataset: rows on which the labeler is examined; default: `eval_dataset`.
        labeler_logits: gives the labeler's (rows x classes) logits for `train_dataset`, asked for if soft labels need
            them; default: they are computed.
        test_dataset: a third set, which steers nothing: its accuracy stands in each round's report. Without one, a
            warning is logged.
        perturbation: tau; default: neighbors in the labeler's input embeddings.
    """

    def __init__(
        self,
        collator: AgoraDataCollator,
        labeler: PreTrainedModel,
        *,
        train_dataset: Iterable[Mapping[str, Any]],
        eval_dataset: Iterable[Mapping[str, Any]],
        labeler_dataset: Iterable[Mapping[str, Any]] | None = None,
        labeler_logits: Callable[[], Sequence[Sequence[float]]] | None = None,
        test_dataset: Iterable[Mapping[str, Any]] | None = None,
        perturbation: TextPerturbation | None = None,
    ) -> None:
        require_kind(collator, AgoraDataCollator, "collator", "Pass AgoraDataCollator(tokenizer), and to Trainer too")
        require_kind(labeler, PreTrainedModel, "labeler", "Pass the fine-tuned teacher, without a wrapper")
        self._collator, self._pool, self._labeler = collator, collator.pool, labeler
        self._pool.num_labels = num_classes(labeler)
        self._train_dataset = iterable_rows(train_dataset, "train_dataset")
        self._eval_dataset = iterable_rows(eval_dataset, "eval_dataset")
        given = eval_dataset if labeler_dataset is None else labeler_dataset
        self._labeler_dataset = iterable_rows(given, "labeler_dataset")
        self._test_dataset = None if test_dataset is None else iterable_rows(test_dataset, "test_dataset")
        self._labeler_logits, self._perturbation = labeler_logits, perturbation
        self._builder: PoolBuilder | None = None
        self._schedule: RoundSchedule | None = None
        self._loss = AccumulatedLoss()
        self._epoch_start = EpochStart()
        self._is_training = False
        self.rounds: tuple[PoolReport, ...] = ()
        self.labeler_accuracy: float | None = None
        self.betti: tuple[int, ...] | None = None
        """Betti numbers of the training set before Agora, if `betti_numbers` is set."""

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Refuse settings under which no batch would ever hold a new row.

        Raises:
            InvalidConfigError: if workers would keep an old pool, or a batch is too small for one new row.
        """
        if args.dataloader_persistent_workers and args.dataloader_num_workers > 0:
            raise InvalidConfigError(
                "data loader workers must start anew each epoch, to see the new pool",
                "dataloader_persistent_workers=True",
                "Set dataloader_persistent_workers=False, or dataloader_num_workers=0",
            )
        if self._collator.config.pool_share * args.train_batch_size < 1:
            raise InvalidConfigError(
                "pool_share times the training batch size must be at least 1, so that a batch has room for a new row",
                f"pool_share={self._collator.config.pool_share} and a batch of {args.train_batch_size}",
                "Raise one of the two",
            )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Examine the labeler; bring back the pool of a checkpoint, or begin with the initial round, if it is wanted.

        Raises:
            InvalidConfigError: if labeler and student differ in their number of classes, or no round would ever come.
            LabelerError: if the labeler is not accurate enough.
            InvalidDataError: if a set cannot be used, the Trainer has another training set, or the checkpoint lies
                inside an epoch and its pool is lost.
        """
        student: PreTrainedModel = kwargs["model"]
        if self._pool.num_labels != num_classes(student):
            raise InvalidConfigError(
                "labeler and student must have the same classes",
                f"they have {self._pool.num_labels} and {num_classes(student)}",
                "Fine-tune the labeler on the student's task",
            )
        if self._test_dataset is None:
            _LOGGER.warning("%s", NO_UNTOUCHED_SPLIT)
        if self._builder is None:
            self._builder = self._prepare(batch_size=args.eval_batch_size)
        loader, num_rows = kwargs["train_dataloader"], self._pool.num_train_rows
        self._require_same_rows(loader.dataset)
        self._schedule = plan_rounds(
            self._collator.config, args, num_train_rows=num_rows, max_steps=state.max_steps, loader=loader
        )
        _LOGGER.info("Agora: %d rounds will come", self._schedule.num_rounds)
        self._restore(args, state, student)
        self._epoch_start.on_train_begin(args, state, control)
        self._loss.attach(student)
        self._is_training = self._pool.is_open = True

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the collator mix again after an evaluation."""
        self._pool.is_open = True
        self._epoch_start.on_epoch_begin(args, state, control)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the collator mix again after an evaluation."""
        self._pool.is_open = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Run a round if one is due after so many steps; keep the pool out of the evaluation that follows."""
        self._run_due_round(state, kwargs["model"], at_epoch_end=False)
        self._pool.is_open = not control.should_evaluate

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Mix again, unless this set has a name of its own: then others may follow, up to the next step."""
        self._pool.is_open = self._is_training and "eval_runtime" in kwargs["metrics"]

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Run a round if the epoch is whole; an interrupted one keeps its pool, for it may be resumed."""
        self._run_due_round(state, kwargs["model"], at_epoch_end=True)
        self._pool.is_open = not control.should_evaluate

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the pool and the reports into the checkpoint, whole or not at all."""
        self._epoch_start.on_save(args, state, control)
        folder = checkpoint_folder(args, state)
        if state.is_world_process_zero and folder.is_dir():
            write_pool(folder / POOL_FILE, self._pool, self.rounds)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave batches alone from here on."""
        self._is_training = self._pool.is_open = False
        self._loss.detach()

    def _require_same_rows(self, dataset: Any) -> None:
        row = next(iter(dataset), None)
        if not isinstance(row, Mapping) or "input_ids" not in row or row_key(row) not in self._pool.train_keys:
            raise InvalidDataError(
                "the Trainer and AgoraCallback must get the same training set, or no batch would ever hold a new row",
                "the Trainer's first row is not in the callback's set",
                "Pass one tokenized data set to both",
            )

    def _run_due_round(self, state: TrainerState, student: PreTrainedModel, *, at_epoch_end: bool) -> None:
        assert self._schedule is not None  # noqa: S101 - Trainer begins before it ends a step
        number = self._schedule.due(state, at_epoch_end=at_epoch_end)
        if number is not None:
            self._run_round(state, student, round_number=number)

    def _prepare(self, *, batch_size: int) -> PoolBuilder:
        tokenizer, per_token = self._collator.tokenizer, answers_per_token(self._labeler)
        rows, labels = labeled_rows(
            self._labeler_dataset,
            input_names=tokenizer.model_input_names,
            per_token=per_token,
            num_classes=self._pool.num_labels,
        )
        logits = answer(self._labeler, rows, tokenizer=tokenizer, batch_size=batch_size)
        answers = flat_labels(label_of(of_row, label) for of_row, label in zip(logits, labels, strict=True))
        minimum = self._collator.config.minimum_labeler_accuracy
        self.labeler_accuracy = check_labeler(answers, flat_labels(labels), minimum_accuracy=minimum)
        builder = PoolBuilder(
            self._labeler,
            tokenizer,
            train_dataset=self._train_dataset,
            dev_dataset=self._eval_dataset,
            config=self._collator.config,
            batch_size=batch_size,
            test_dataset=self._test_dataset,
            perturbation=self._perturbation,
        )
        self.betti = builder.betti
        if self._collator.soft_targets:
            known = self._labeler_logits() if self._labeler_logits is not None else None
            self._pool.train_answers = builder.train_answers(known)
        self._pool.train_keys, self._pool.num_train_rows = builder.train_keys, builder.num_train_rows
        return builder

    def _run_round(self, state: TrainerState, student: PreTrainedModel, *, round_number: int) -> None:
        assert self._builder is not None  # noqa: S101 - Trainer begins before it ends an epoch
        is_first = PartialState().is_main_process
        earlier = self._pool.rows if self._collator.config.accumulate else ()
        built = [self._builder.build(student, round_number=round_number, earlier=earlier) if is_first else None]
        ((rows, report),) = broadcast_object_list(built)
        self._pool.refill((*earlier, *rows), round_number=round_number)
        self.rounds = (*self.rounds, report)
        facts = {f"agora_{name}": value for name, value in asdict(report).items()}
        state.log_history.append({"epoch": state.epoch, "step": state.global_step, **facts})
        _LOGGER.info("Agora: %s", report)

    def _restore(self, args: TrainingArguments, state: TrainerState, student: PreTrainedModel) -> None:
        """The pool of the rounds due so far: from the checkpoint; the last one is run where it is not saved there."""
        assert self._schedule is not None  # noqa: S101 - it is made before
        rounds = self._schedule.rounds_until(state)
        self.rounds = self._read(args, state)
        if self._pool.round == math.floor(rounds):
            return
        is_next = self._pool.round == rounds - 1 or not self._collator.config.accumulate
        if not (rounds.is_integer() and is_next):
            raise InvalidDataError(
                f"going on from this checkpoint needs the pool of its round, in {POOL_FILE}",
                f"{checkpoint_folder(args, state)} has none of round {math.floor(rounds)}",
                "Resume from another checkpoint, or from the folder that the run wrote",
            )
        self._run_round(state, student, round_number=int(rounds))

    def _read(self, args: TrainingArguments, state: TrainerState) -> tuple[PoolReport, ...]:
        """Refill the pool from the checkpoint, and return the reports.

        Where there is none, the pool is empty, and it is that of round 0, unless this round is one to run.
        """
        for folder in (Path(args.resume_from_checkpoint or ""), checkpoint_folder(args, state)):
            if state.global_step and (folder / POOL_FILE).is_file():
                return read_pool(folder / POOL_FILE, self._pool)
        self._pool.refill((), round_number=-1 if self._collator.config.initial_round else 0)
        return ()
