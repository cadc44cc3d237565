"""The later stages in small: the smallest student, with random weights, is trained for one step and exported."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from transformers import PreTrainedModel, PrinterCallback, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from optimum_ose.configuration import AgoraConfig, ExportConfig, SearchConfig
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.data.groups import whole_groups
from optimum_ose.exceptions import OSEError
from optimum_ose.export.formats import write_formats
from optimum_ose.finetuning.arguments import refused_arguments
from optimum_ose.finetuning.trainer import build_trainer
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.optimizer.folders import save_into
from optimum_ose.optimizer.size_bounds import small_enough
from optimum_ose.optimizer.teacher_task import TeacherTask
from optimum_ose.serving.pipeline import OnnxPipeline

_NUM_ROWS = 8


def smallest_student(task: TeacherTask, space: SearchSpace, settings: SearchConfig) -> PreTrainedModel:
    """The smallest candidate of the search space, with random weights; both sizes and operations are counted.

    Raises:
        InfeasibleError: if no candidate keeps the bounds on the size.
        UnsupportedModelError: if operations of the teacher or of the candidate cannot be counted.
    """
    small_enough(space, settings)
    sizes = space.parameter_size(space.candidates)
    (architecture,) = space.candidates.take(np.array([int(np.argmin(sizes))]))
    space.multiply_adds([space.maximum_point, architecture], sequence_length=settings.sequence_length)
    student = from_scratch(task.teacher, architecture, task=task.task, seed=0)
    student.eval()
    return student


def rehearse_training(
    task: TeacherTask,
    student: PreTrainedModel,
    rows: Dataset,
    args: TrainingArguments,
    *,
    name: str,
    agora: AgoraConfig | None = None,
) -> None:
    """Train a student for one step on a few rows, in a folder that is removed; save and evaluate it as the stage will.

    Args:
        task: of the teacher.
        student: changed in place.
        rows: of the task, with labels.
        args: of the Trainer, as the stage will use them.
        name: of the setting that the arguments come from, for the message.
        agora: whose callback is set up with the arguments; it makes no rows.

    Raises:
        InvalidConfigError: if a Trainer cannot be set up or make a step with them.
    """
    few = task.rows(whole_groups(rows, _NUM_ROWS))
    with TemporaryDirectory() as folder, _undisturbed():
        build = partial(
            build_trainer,
            student,
            _for_one_step(args, folder),
            train_dataset=few,
            eval_dataset=few,
            tokenizer=task.tokenizer,
            task=task.task,
            metric=task.metric,
            owner=name,
        )
        AcceleratorState._reset_state(reset_partial_state=False)  # an earlier Trainer may have had another precision
        try:
            if agora is not None:
                build(agora=agora, labeler=student)
            trainer = build()
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            trainer.evaluate()
        except OSEError:
            raise
        except BUILD_ERRORS as error:
            raise refused_arguments(name, error) from error
        finally:
            AcceleratorState._reset_state(reset_partial_state=False)


def rehearse_export(task: TeacherTask, student: PreTrainedModel, rows: Dataset, config: ExportConfig) -> None:
    """Export a student as the run will export its own, into a folder that is removed, and load it as it is scored.

    Raises:
        ExportError, InvalidConfigError, UnsupportedModelError: as the export of the run would, hours later.
    """
    few = rows.select(range(min(_NUM_ROWS, len(rows))))
    with TemporaryDirectory() as folder, _undisturbed():
        write_formats(
            student,
            task.text_tokenizer,
            Path(folder),
            config,
            calibration_rows=lambda: task.rows(few, needs_labels=False),
            warns=False,
        )
        save_into(student, task.tokenizer, Path(folder), max_length=task.saved_length)
        OnnxPipeline.from_pretrained(folder)


def _for_one_step(args: TrainingArguments, folder: str) -> TrainingArguments:
    changed = copy.copy(args)
    changed.output_dir, changed.max_steps = folder, 1
    changed.report_to, changed.push_to_hub = [], False
    if changed.eval_strategy != IntervalStrategy.NO:
        changed.eval_strategy, changed.eval_steps, changed.eval_delay = IntervalStrategy.STEPS, 1, 0
    if changed.save_strategy not in (SaveStrategy.NO, SaveStrategy.BEST):
        changed.save_strategy, changed.save_steps = SaveStrategy.STEPS, 1
    changed.dataloader_drop_last = False  # there are only a few rows
    return changed


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put all global generators back after the block: a run draws what it would have drawn without a rehearsal."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (a Trainer seeds it)
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)  # noqa: NPY002
