"""The Accelerate loop that distils a student: seeded, checkpointed, resumable."""

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, skip_first_batches
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_linear_schedule_with_warmup

from optimum_ose.configuration import DistillationConfig
from optimum_ose.data.tokenization import training_batches
from optimum_ose.distillation.local_process import LocalProcess
from optimum_ose.distillation.losses import StudentWithProjections
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.prediction import predict_logits

TEACHER_LOGITS = "teacher_logits"
"""Column of what the teacher answers to a row."""
OnStep = Callable[[int, float], None]
"""Called after each step with the number of steps done and the loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationReport:
    """What a distillation did."""

    num_steps: int
    """Optimizer steps from the start, those before a resume included."""
    resumed_from: int
    """Steps that an earlier, killed run had done."""
    final_loss: float
    """Loss of the last batch; NaN if there was no step."""


def with_teacher_logits(
    rows: Dataset, teacher: PreTrainedModel, *, tokenizer: PreTrainedTokenizerBase, batch_size: int = 64
) -> Dataset:
    """The rows with the teacher's logits beside them, computed once; rows that have them are returned as they are."""
    if TEACHER_LOGITS in rows.column_names:
        return rows
    logits = predict_logits(teacher, rows, tokenizer=tokenizer, batch_size=batch_size)
    return rows.add_column(TEACHER_LOGITS, list(logits))


def distill(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    *,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    config: DistillationConfig,
    checkpoint_folder: Path | None = None,
    on_step: OnStep | None = None,
    is_shared: bool = True,
) -> DistillationReport:
    """Train the student, in place, to answer as the teacher does.

    Args:
        student: changed in place; left in evaluation mode.
        teacher: not changed.
        rows: token rows with `labels`; the teacher's logits are added, unless `with_teacher_logits` did that before.
        tokenizer: pads the batches.
        config: the recipe.
        checkpoint_folder: where the state is kept every `config.checkpoint_steps`; a state found there is gone on from.
        on_step: listener.
        is_shared: the processes of a launch train one student together; else this one trains a student of its own, and
            keeps no state: a short run begins anew.

    Raises:
        InvalidConfigError: if student and teacher answer with different classes.
    """
    if student.config.num_labels != teacher.config.num_labels:
        raise InvalidConfigError(
            "Student and teacher must answer with the same classes",
            f"the student has {student.config.num_labels}, the teacher {teacher.config.num_labels}",
            "Initialize the student from this teacher",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if not is_shared:
            return _run(LocalProcess(), student, teacher, rows, tokenizer, config, None, on_step)
        return _run(Accelerator(), student, teacher, rows, tokenizer, config, checkpoint_folder, on_step)


def _run(
    accelerator: Accelerator | LocalProcess,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    config: DistillationConfig,
    checkpoint_folder: Path | None,
    on_step: OnStep | None,
) -> DistillationReport:
    pupil = StudentWithProjections(
        student,
        teacher_width=teacher.config.hidden_size,
        num_teacher_layers=teacher.config.num_hidden_layers,
        config=config,
    )
    optimizer = torch.optim.AdamW(_parameter_groups(pupil, config.weight_decay), lr=config.learning_rate, fused=True)
    scheduler = get_linear_schedule_with_warmup(
        optimizer, math.ceil(config.num_steps * config.warmup_ratio), config.num_steps
    )
    rows = with_teacher_logits(rows, teacher, tokenizer=tokenizer)
    loader = training_batches(rows, tokenizer, batch_size=config.batch_size, seed=config.seed)
    pupil, optimizer, loader = accelerator.prepare(pupil, optimizer, loader)
    torch.nn.Module.to(teacher, accelerator.device)
    teacher.eval()
    start = 0
    if isinstance(accelerator, Accelerator):
        start = _load_latest(accelerator, checkpoint_folder)
        # All of its state that counts; Accelerate would unpickle it from the folder.
        scheduler.last_epoch = start
    # Without dropout: a student this small has no capacity to spare.
    pupil.eval()
    step, loss = start, torch.tensor(math.nan)
    for batch in _batches(loader, start, config.num_steps):
        loss = _step(accelerator, pupil, teacher, batch, optimizer, config)
        scheduler.step()
        step += 1
        if on_step is not None:
            on_step(step, float(loss))
        is_due = step % config.checkpoint_steps == 0 and step < config.num_steps
        if isinstance(accelerator, Accelerator) and checkpoint_folder is not None and is_due:
            _save(accelerator, checkpoint_folder, step)
    torch.nn.Module.to(student, "cpu")
    student.eval()
    return DistillationReport(num_steps=step, resumed_from=start, final_loss=float(loss))


def _step(
    accelerator: Accelerator | LocalProcess,
    pupil: Any,
    teacher: PreTrainedModel,
    batch: Any,
    optimizer: Any,
    config: DistillationConfig,
) -> torch.Tensor:
    logits = batch.pop(TEACHER_LOGITS)
    hidden_states: tuple[torch.Tensor, ...] = ()
    if config.hidden_weight:
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        with torch.no_grad():
            hidden_states = teacher(**inputs, output_hidden_states=True).hidden_states
    loss: torch.Tensor = pupil(batch, logits, hidden_states)
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(pupil.parameters(), config.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


def _parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and norms, which are vectors, do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def _batches(loader: Any, start: int, stop: int) -> Iterator[Any]:
    """Batches start .. stop - 1 of the endless sequence of epochs."""
    per_epoch, step = len(loader), start
    while step < stop:
        loader.set_epoch(step // per_epoch)
        skipped = step % per_epoch
        for batch in skip_first_batches(loader, skipped) if skipped else loader:
            if step == stop:
                return
            yield batch
            step += 1


def _save(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Write the whole state under a temporary name, rename it, then drop older ones."""
    final = folder / f"step-{step:08d}"
    temporary = folder / f".{final.name}.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(temporary))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        older = _finished(folder)
        temporary.rename(final)
        for path in older:
            shutil.rmtree(path)


def _load_latest(accelerator: Accelerator, folder: Path | None) -> int:
    """Go back to the newest whole state and return its step; 0 if there is none."""
    finished = _finished(folder) if folder is not None else []
    if not finished:
        return 0
    accelerator.load_state(str(finished[-1]))
    return int(finished[-1].name.removeprefix("step-"))


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.is_dir() else []
