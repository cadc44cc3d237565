"""What a teacher shows: its answers to all rows, computed once and kept, or its answers to one batch as it comes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_from_disk
from transformers import PreTrainedModel

from optimum_ose.configuration import DistillationConfig
from optimum_ose.data.tokenization import TEACHER_LOGITS
from optimum_ose.distillation.pupil import Lesson, wanted_internals
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.preprocessing import NO_INPUTS, Preprocessor, num_answers
from optimum_ose.question import model_digest, rows_digest
from optimum_ose.serialization import digest
from optimum_ose.tasks.parts.problem import Problem


def with_teacher_logits(
    rows: Dataset,
    teacher: PreTrainedModel,
    *,
    tokenizer: Preprocessor,
    batch_size: int = 64,
    folder: Path | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Dataset:
    """The rows with the teacher's answers beside them, computed once; rows that have them are returned as they are.

    Args:
        rows: token rows, or images.
        teacher: not changed.
        tokenizer: pads; of images their processor.
        batch_size: rows per forward pass.
        folder: where answers are kept on the disk, by teacher and rows; what is found there is read, not computed
            again. Rows read from there are mapped into memory. None: they are kept in memory.
        on_rows: hears after each forward pass how many rows are answered.
    """
    if TEACHER_LOGITS in rows.column_names:
        return rows
    if folder is None:
        return _answered(rows, teacher, tokenizer, batch_size, on_rows)
    path = folder / digest({"teacher": model_digest(teacher), "rows": rows_digest(rows)})
    if not path.is_dir():
        temporary = folder / f".{path.name}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        _answered(rows, teacher, tokenizer, batch_size, on_rows).save_to_disk(str(temporary))
        try:
            temporary.rename(path)
        except OSError:  # another process was faster
            shutil.rmtree(temporary)
    kept: Dataset = load_from_disk(str(path))
    return kept


def _answered(
    rows: Dataset,
    teacher: PreTrainedModel,
    tokenizer: Preprocessor,
    batch_size: int,
    on_rows: Callable[[int], None] | None,
) -> Dataset:
    logits = predict_logits(teacher, rows, tokenizer=tokenizer, batch_size=batch_size, on_rows=on_rows)
    if len(logits) == len(rows) and not _answers_tokens(teacher):
        return rows.add_column(TEACHER_LOGITS, list(logits))
    ends = np.cumsum(num_answers(rows))
    return rows.add_column(TEACHER_LOGITS, [part.tolist() for part in np.split(logits, ends[:-1])])


def _answers_tokens(model: PreTrainedModel) -> bool:
    return type(model).__name__.endswith("ForTokenClassification")


def lesson_of(
    problem: Problem, teacher: PreTrainedModel, batch: dict[str, torch.Tensor], config: DistillationConfig
) -> Lesson:
    """What the teacher shows of a batch, from which its kept answers are taken out; it is run where they do not do."""
    kept = batch.pop(TEACHER_LOGITS, None)
    answers = None if kept is None else problem.kept_answers(kept, batch)
    wanted = {name: True for name, is_wanted in wanted_internals(config).items() if is_wanted}
    if answers is not None and not wanted:
        return Lesson(answers=answers)
    inputs = {name: value for name, value in batch.items() if name not in NO_INPUTS}
    with torch.no_grad():
        output: Any = teacher(**inputs, **wanted)
    return Lesson(
        answers=problem.answers(output, batch) if answers is None else answers,
        hidden_states=output.hidden_states if "output_hidden_states" in wanted else (),
        attentions=output.attentions if "output_attentions" in wanted else (),
    )


def require_one_device(*models: torch.nn.Module) -> None:
    """Refuse `torch.nn.DataParallel`, which hides a model's config and splits the teacher's answers from its batch.

    Raises:
        InvalidConfigError: if a model is wrapped in it.
    """
    if any(isinstance(model, torch.nn.DataParallel) for model in models):
        raise InvalidConfigError(
            "Distillation must not run in torch.nn.DataParallel",
            "a model is wrapped in it",
            "Pass the model itself, and start several processes with `accelerate launch` or `torchrun`",
        )
