"""The Accelerate loop that distils a student: seeded, checkpointed, resumable."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.state import AcceleratorState
from accelerate.tracking import filter_trackers
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_linear_schedule_with_warmup

from optimum_ose.configuration import DistillationConfig
from optimum_ose.data.batching import training_batches
from optimum_ose.distillation.checkpoints import load_latest, save
from optimum_ose.distillation.local_process import LocalProcess, num_processes
from optimum_ose.distillation.pupil import Pupil, require_one_stack, require_tokens, show_attentions, wanted_internals
from optimum_ose.distillation.teaching import (
    lesson_of,
    require_one_device,
    with_teacher_logits,
)
from optimum_ose.exceptions import DivergedError, InvalidConfigError
from optimum_ose.modeling.health import require_finite_weights, require_precision
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.serialization import plain
from optimum_ose.tasks import DEFAULT_TASK, distillable_task
from optimum_ose.tasks.parts.problem import Problem

_RATE = "DistillationConfig.learning_rate"
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


def distill(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    *,
    rows: Dataset,
    tokenizer: Preprocessor,
    config: DistillationConfig,
    task: str = DEFAULT_TASK,
    checkpoint_folder: Path | None = None,
    answers_folder: Path | None = None,
    teacher_tokenizer: PreTrainedTokenizerBase | None = None,
    on_step: OnStep | None = None,
    is_shared: bool = True,
) -> DistillationReport:
    """Train the student, in place, to answer as the teacher does.

    Args:
        student: changed in place; left in evaluation mode.
        teacher: not changed.
        rows: token rows, or images, with `labels` where rows of the task have them; rows without a label are learned
            from the teacher alone. The teacher's answers are added, unless `with_teacher_logits` did that before;
            language models are asked anew in each step.
        tokenizer: pads the batches; of images their processor.
        config: the recipe.
        task: what both models do.
        checkpoint_folder: where the state is kept every `config.checkpoint_steps`; training resumes from a
            state found there. Trackers write there.
        answers_folder: where the teacher's answers are kept, for the next distillation from the same rows.
        teacher_tokenizer: of the teacher, if it is another object; it must have the same vocabulary.
        on_step: listener.
        is_shared: the processes of a launch train one student together; else this one trains a student of its own, and
            keeps no state: a short run begins anew.

    Raises:
        InvalidConfigError: if student and teacher answer with different classes or words, run in DataParallel, or do
            not show what a weighted term compares; if a tracker is not installed, or this machine lacks the precision.
        ProcessError: if several processes were launched that are not connected.
        DivergedError: if the loss or the weights become infinite or no number.
    """
    require_precision(config.mixed_precision)
    num_processes()
    require_one_device(student, teacher)
    problem = distillable_task(task).problem(teacher.config)
    problem.require_comparable(student, teacher, tokenizer, teacher_tokenizer)
    config = replace(config, learning_rate=config.learning_rate or problem.learning_rate)
    require_one_stack(config, teacher)
    if config.attention_weight:
        show_attentions(student, teacher)
    if not isinstance(tokenizer, PreTrainedTokenizerBase) and any(wanted_internals(config).values()):
        require_tokens(student, teacher)
    if problem.is_kept:
        rows = with_teacher_logits(rows, teacher, tokenizer=tokenizer, folder=answers_folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if not is_shared:
            return _run(LocalProcess(), student, teacher, rows, tokenizer, config, problem, None, on_step)
        accelerator = _accelerator(config, checkpoint_folder)
        return _run(accelerator, student, teacher, rows, tokenizer, config, problem, checkpoint_folder, on_step)


def _accelerator(config: DistillationConfig, folder: Path | None) -> Accelerator:
    known = {str(tracker) for tracker in filter_trackers(list(config.log_with), str(folder))}
    if missing := sorted(set(config.log_with) - known):
        raise InvalidConfigError(
            "log_with must name trackers of Accelerate whose package is installed",
            f"got {', '.join(missing)}",
            "Install the package, or leave the tracker out",
        )
    # A Trainer of the same process may have settled on another precision.
    AcceleratorState._reset_state(reset_partial_state=False)
    return Accelerator(
        mixed_precision=config.mixed_precision, log_with=list(config.log_with) or None, project_dir=folder
    )


def _run(
    accelerator: Accelerator | LocalProcess,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    rows: Dataset,
    tokenizer: Preprocessor,
    config: DistillationConfig,
    problem: Problem,
    checkpoint_folder: Path | None,
    on_step: OnStep | None,
) -> DistillationReport:
    pupil: Any = Pupil(student, teacher, problem=problem, config=config)
    optimizer: Any = torch.optim.AdamW(
        parameter_groups(pupil, config.weight_decay), lr=config.learning_rate or problem.learning_rate, fused=True
    )
    scheduler = get_linear_schedule_with_warmup(
        optimizer, math.ceil(config.num_steps * config.warmup_ratio), config.num_steps
    )
    collate = problem.collator(tokenizer, config.seed)
    loader: Any = training_batches(rows, batch_size=config.batch_size, seed=config.seed, collate=collate)
    pupil, optimizer, loader = accelerator.prepare(pupil, optimizer, loader)
    torch.nn.Module.to(teacher, accelerator.device)
    teacher.eval()
    start = 0
    if isinstance(accelerator, Accelerator):
        start = load_latest(accelerator, checkpoint_folder)
        # All of its state that counts; Accelerate would unpickle it from the folder.
        scheduler.last_epoch = start
        if config.log_with:
            accelerator.init_trackers("distillation", config=plain(config))
    # Without dropout: a student this small has no capacity to spare.
    pupil.eval()
    step, loss = start, torch.tensor(math.nan)
    per_step = config.gradient_accumulation_steps
    batches = endless_batches(loader, start * per_step, config.num_steps * per_step)
    while together := list(islice(batches, per_step)):
        loss = _step(accelerator, pupil, teacher, together, optimizer, config, problem)
        scheduler.step()
        step += 1
        require_finite_loss(float(loss), step, config)
        _tell(accelerator, step, loss, config, on_step)
        is_due = step % config.checkpoint_steps == 0 and step < config.num_steps
        if isinstance(accelerator, Accelerator) and checkpoint_folder is not None and is_due:
            require_finite_weights(student, f"at step {step}", _RATE)
            save(accelerator, checkpoint_folder, step)
    if isinstance(accelerator, Accelerator) and config.log_with:
        accelerator.end_training()
    torch.nn.Module.to(student, "cpu")
    student.eval()
    require_finite_weights(student, f"after {step} steps of distillation", _RATE)
    return DistillationReport(num_steps=step, resumed_from=start, final_loss=float(loss))


def _step(
    accelerator: Accelerator | LocalProcess,
    pupil: Any,
    teacher: PreTrainedModel,
    batches: list[Any],
    optimizer: Any,
    config: DistillationConfig,
    problem: Problem,
) -> torch.Tensor:
    """One optimizer step on some batches together; their mean loss."""
    losses = []
    for number, batch in enumerate(batches, start=1):
        with _autocast(accelerator):
            lesson = lesson_of(problem, teacher, batch, config)
        is_last = number == len(batches)
        with nullcontext() if is_last or isinstance(accelerator, LocalProcess) else accelerator.no_sync(pupil):
            loss: torch.Tensor = pupil(batch, lesson)
            accelerator.backward(loss if len(batches) == 1 else loss / len(batches))
        losses.append(loss.detach())
    accelerator.clip_grad_norm_(pupil.parameters(), config.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return torch.stack(losses).mean()


def require_finite_loss(loss: float, step: int, config: DistillationConfig) -> None:
    """Pass if the loss of a step is a finite number.

    Raises:
        DivergedError: if it is not.
    """
    if not math.isfinite(loss):
        raise DivergedError(
            "The loss of a distillation must stay finite",
            f"after step {step} of {config.num_steps} it is {loss}, with learning_rate={config.learning_rate:g}",
            f"Lower {_RATE}, begin with a new student, and run the command again",
        )


def _autocast(accelerator: Accelerator | LocalProcess) -> AbstractContextManager[Any]:
    return accelerator.autocast() if isinstance(accelerator, Accelerator) else nullcontext()


def _tell(
    accelerator: Accelerator | LocalProcess,
    step: int,
    loss: torch.Tensor,
    config: DistillationConfig,
    on_step: OnStep | None,
) -> None:
    if on_step is not None:
        on_step(step, float(loss))
    if isinstance(accelerator, Accelerator) and config.log_with:
        accelerator.log({"loss": float(loss)}, step=step)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and norms, which are vectors, do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def endless_batches(loader: Any, start: int, stop: int) -> Iterator[Any]:
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
