"""Trains all candidates at once: each step distils a few views on the same batch from the teacher's kept answers."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.configuration import DistillationConfig
from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.core.architecture import Architecture
from optimum_ose.data.batching import training_batches
from optimum_ose.distillation.local_process import num_processes
from optimum_ose.distillation.loop import endless_batches, parameter_groups
from optimum_ose.distillation.pupil import Lesson, Pupil
from optimum_ose.distillation.teaching import lesson_of, with_teacher_logits
from optimum_ose.elastic.sandwich import Sandwich
from optimum_ose.elastic.state import load_state, save_state
from optimum_ose.elastic.student import ElasticStudent, View
from optimum_ose.exceptions import DivergedError
from optimum_ose.modeling.health import not_finite, require_precision
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.tasks import distillable_task
from optimum_ose.tasks.parts.problem import Problem

OnStep = Callable[[int, float], None]
"""Called after each step with the number of steps done and the mean loss of its views."""
_MAX_LOST = 20
"""Steps on end without a finite gradient after which a training has diverged."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticReport:
    """What an elastic training did."""

    num_steps: int
    """Optimizer steps from the start, those before a resume included."""
    resumed_from: int
    """Steps that an earlier, killed run had done."""
    diverged: Mapping[Architecture, int]
    """How often a candidate's loss or gradient was no finite number, and therefore not learned from."""


def train(
    student: ElasticStudent,
    teacher: PreTrainedModel,
    sandwich: Sandwich,
    *,
    rows: Dataset,
    tokenizer: Preprocessor,
    setting: ElasticSetting,
    seed: int,
    task: str,
    state: Path | None = None,
    question: Mapping[str, Any] = MappingProxyType({}),
    on_step: OnStep | None = None,
) -> ElasticReport:
    """Train the shared weights, in place, so that every candidate answers as the teacher does.

    The processes of a launch train together: each takes batches of its own, and gradients are averaged.

    Args:
        student: whose shared weights are changed.
        teacher: not changed.
        sandwich: says which candidates each step trains.
        rows: token rows, or images; the teacher's answers are added unless they are there.
        tokenizer: pads the batches; of images their processor.
        setting: the recipe.
        seed: of the batches.
        task: of teacher and candidates.
        state: file of the state; training resumes from it, and leaves the final weights there. None: nothing is kept.
        question: what the training answers, kept in the state.
        on_step: listener.

    Raises:
        DivergedError: if no candidate has a finite gradient any more.
        InvalidConfigError: if this machine lacks the precision.
        OutputFolderError: if the state cannot be read or written.
    """
    require_precision(setting.mixed_precision)
    num_processes()
    problem = distillable_task(task).problem(teacher.config)
    if problem.is_kept:
        rows = with_teacher_logits(rows, teacher, tokenizer=tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _train(
            student,
            teacher,
            sandwich,
            problem=problem,
            rows=rows,
            tokenizer=tokenizer,
            setting=setting,
            seed=seed,
            state=state,
            question=question,
            on_step=on_step,
        )


def _train(
    student: ElasticStudent,
    teacher: PreTrainedModel,
    sandwich: Sandwich,
    *,
    problem: Problem,
    rows: Dataset,
    tokenizer: Preprocessor,
    setting: ElasticSetting,
    seed: int,
    state: Path | None,
    question: Mapping[str, Any],
    on_step: OnStep | None,
) -> ElasticReport:
    AcceleratorState._reset_state(reset_partial_state=False)  # a Trainer may have settled on another precision
    accelerator = Accelerator(mixed_precision=setting.mixed_precision)
    shared = student.move(accelerator.device)
    torch.nn.Module.to(teacher, accelerator.device)
    teacher.eval()
    recipe = DistillationConfig(seed=seed)
    adamw = torch.optim.AdamW(parameter_groups(shared, recipe.weight_decay), lr=setting.learning_rate, fused=True)
    start = load_state(state, shared, adamw) if state is not None and state.is_file() else 0
    collate = problem.collator(tokenizer, seed)
    loader: Any = training_batches(rows, batch_size=setting.batch_size, seed=seed, collate=collate)
    optimizer, loader = accelerator.prepare(adamw, loader)
    work = _Work(accelerator, student, teacher, optimizer, problem, recipe)
    for step, batch in enumerate(endless_batches(loader, start, setting.num_steps), start=start):
        for group in adamw.param_groups:
            group["lr"] = setting.learning_rate * rate(step, setting)
        loss = work.step(batch, sandwich.views(step))
        done = step + 1
        if on_step is not None:
            on_step(done, loss)
        if state is not None and done % setting.checkpoint_steps == 0 and done < setting.num_steps:
            _save(accelerator, state, shared, adamw, step=done, question=question)
    student.move(torch.device("cpu"))
    if broken := not_finite(shared):
        raise _diverged(f"weights of {broken[0]} are not finite", setting)
    if state is not None and start < setting.num_steps:
        _save(accelerator, state, shared, None, step=setting.num_steps, question=question)
    return ElasticReport(num_steps=setting.num_steps, resumed_from=start, diverged=dict(work.diverged))


def rate(step: int, setting: ElasticSetting) -> float:
    """Share of the learning rate at a step: it rises linearly, then falls linearly to zero."""
    warmup = math.ceil(setting.num_steps * setting.warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    return (setting.num_steps - step) / max(setting.num_steps - warmup, 1)


@final
class _Work:
    """The steps of one training."""

    def __init__(
        self,
        accelerator: Accelerator,
        student: ElasticStudent,
        teacher: PreTrainedModel,
        optimizer: Any,
        problem: Problem,
        recipe: DistillationConfig,
    ) -> None:
        self._accelerator, self._optimizer = accelerator, optimizer
        self._student, self._teacher = student, teacher
        self._problem, self._recipe = problem, recipe
        self._parameters = [tensor for tensor in student.shared.parameters() if tensor.requires_grad]
        self._num_lost = 0
        self.diverged: Counter[Architecture] = Counter()

    def step(self, batch: dict[str, torch.Tensor], architectures: tuple[Architecture, ...]) -> float:
        """One optimizer step on the gradients of some candidates; their mean loss.

        Gradients are added up candidate by candidate, so that memory stays near that of the largest one.
        """
        with self._autocast():
            lesson = lesson_of(self._problem, self._teacher, batch, self._recipe)
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.zero_()
        losses = [
            loss
            for architecture in architectures
            if (loss := self._learn(architecture, batch, lesson, share=1 / len(architectures))) is not None
        ]
        self._average()
        self._num_lost = 0 if losses else self._num_lost + 1
        if self._num_lost >= _MAX_LOST:
            raise DivergedError(
                "At least one candidate must have a finite loss",
                f"none has had one in {_MAX_LOST} steps on end",
                "Lower SearchConfig.elastic.learning_rate, and run the command again",
            )
        if losses or self._accelerator.num_processes > 1:
            self._accelerator.clip_grad_norm_(self._parameters, self._recipe.max_grad_norm)
            self._optimizer.step()
        return math.fsum(losses) / len(losses) if losses else math.nan

    def _learn(
        self, architecture: Architecture, batch: Mapping[str, torch.Tensor], lesson: Lesson, *, share: float
    ) -> float | None:
        """Add a candidate's gradients to those of the shared weights; its loss. None, and nothing added, if they are no
        finite numbers.
        """
        view: View = self._student.view(architecture)
        view.watch()
        pupil: Any = Pupil(view, self._teacher, problem=self._problem, config=self._recipe)  # type: ignore[arg-type]
        with self._autocast():
            loss: torch.Tensor = pupil(batch, lesson)
        is_scaled = self._accelerator.scaler is not None  # where a scale may overflow, the scaler leaves out the step
        is_finite = bool(torch.isfinite(loss))
        if is_finite:
            self._accelerator.backward(loss * share)
            norm = torch.stack([gradient.norm() for gradient in view.gradients()]).norm()
            is_finite = is_scaled or bool(torch.isfinite(norm))
        view.collect(keeps=is_finite)
        if not is_finite:
            self.diverged[architecture] += 1
            return None
        return float(loss.detach())

    def _average(self) -> None:
        """The mean gradient of all processes."""
        if self._accelerator.num_processes > 1:
            for parameter in self._parameters:
                parameter.grad = self._accelerator.reduce(parameter.grad, reduction="mean")

    def _autocast(self) -> AbstractContextManager[Any]:
        return self._accelerator.autocast() if self._accelerator.mixed_precision != "no" else nullcontext()


def _save(
    accelerator: Accelerator,
    path: Path,
    shared: torch.nn.Module,
    adamw: torch.optim.Optimizer | None,
    *,
    step: int,
    question: Mapping[str, Any],
) -> None:
    if accelerator.is_main_process:
        save_state(path, shared, adamw, step=step, question=question)
    accelerator.wait_for_everyone()


def _diverged(actual: str, setting: ElasticSetting) -> DivergedError:
    return DivergedError(
        "The shared weights of all candidates must stay finite",
        f"{actual}, with learning_rate={setting.learning_rate:g}",
        "Lower SearchConfig.elastic.learning_rate, remove the state of the training, and run the command again",
    )
