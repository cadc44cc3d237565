"""The elastic student of a search: made of the teacher at the largest candidate's size, trained, resumed, reused."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.configuration import SearchConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.candidates import Candidates
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.elastic.measuring import ElasticMeasurer, require_measurable
from optimum_ose.elastic.sandwich import Sandwich
from optimum_ose.elastic.state import STATE_FILE, kept_state, load_state
from optimum_ose.elastic.student import ElasticStudent
from optimum_ose.elastic.training import train
from optimum_ose.exceptions import InvalidArchitectureError, UnsupportedModelError
from optimum_ose.modeling.building import build_on_meta
from optimum_ose.modeling.dimension_map import DimensionMap, derive_dimension_map
from optimum_ose.modeling.importance import require_inheritable
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.modeling.reconfiguration import reconfigure
from optimum_ose.optimizer.size_bounds import small_candidates
from optimum_ose.optimizer.students import StudentMaker
from optimum_ose.optimizer.teacher_task import TeacherTask
from optimum_ose.optimizer.team import is_first_process, wait_for_all
from optimum_ose.progress import working
from optimum_ose.question import answers_narrower, elastic_question
from optimum_ose.serialization import digest, plain

_NUM_TRIED = 16
"""Candidates that are made before any is trained."""


def trained_elastic(
    task: TeacherTask, space: SearchSpace, settings: SearchConfig, *, train_dataset: Dataset, folder: Path | None
) -> ElasticStudent:
    """The elastic student of a search, trained by all processes of the launch.

    A finished training in the folder is used if it admitted all candidates that are asked for now; an unfinished one
    is resumed if its settings are the same; any other is set aside.

    Args:
        task: of the teacher.
        space: the teacher's search space.
        settings: of the search.
        train_dataset: rows to learn from.
        folder: of the state; None: nothing is kept.

    Raises:
        DivergedError: if the training diverges.
        InfeasibleError: if no candidate keeps the bounds on the size.
        OutputFolderError: if the state cannot be read or written.
        UnsupportedModelError: if candidates are no parts of shared weights, or cannot be measured.
    """
    require_measurable(task.problem)
    candidates = small_candidates(space, settings)
    sizes = _common_sizes(task, space, candidates)
    values = {axis: np.unique(found).tolist() for axis, found in candidates.columns.items()}
    rows = task.rows(train_dataset)
    question = plain(elastic_question(task.teacher, settings, rows=rows, sizes=sizes, values=values))
    path = None if folder is None else folder / STATE_FILE
    kept = None if path is None else kept_state(path)
    if path is not None and kept is not None and kept.is_finished and answers_narrower(kept.question, question):
        return _reused(task, path, Architecture(kept.question["sizes"]))
    if path is not None and path.exists() and (kept is None or kept.question != question):
        _set_aside(task, path, "damaged" if kept is None else digest(kept.question)[:8])
    return _trained(task, space, settings, candidates, sizes, train_dataset=train_dataset, path=path, question=question)


def require_views(task: TeacherTask, space: SearchSpace, settings: SearchConfig) -> None:
    """Pass if the method elastic can be used. Takes seconds, and no weights.

    Raises:
        InfeasibleError: if no candidate keeps the bounds on the size.
        UnsupportedModelError: if answers are not compared one by one, or candidates are no parts of shared weights.
    """
    require_measurable(task.problem)
    candidates = small_candidates(space, settings)
    sizes = _common_sizes(task, space, candidates)
    shared = build_on_meta(reconfigure(task.teacher.config, sizes), task.task)
    _make_some_views(_student(task, shared, sizes), candidates)


def elastic_measurer(
    task: TeacherTask, student: ElasticStudent | StudentMaker, settings: SearchConfig, eval_rows: Dataset
) -> ElasticMeasurer:
    """Measures candidates on development rows: parts of an elastic student, or students as they inherit.

    Raises:
        UnsupportedModelError: if the task's answers cannot be compared one by one.
    """
    device = task.teacher.device
    if isinstance(student, ElasticStudent):
        student.move(device)  # a training left it on the CPU and the teacher elsewhere
        view: Callable[[Architecture], torch.nn.Module] = student.view
    else:
        view = partial(_made, student, device)
    return ElasticMeasurer(
        view,
        task.teacher,
        tokenizer=task.tokenizer,
        eval_rows=eval_rows,
        task=task.task,
        error=settings.measured_error,
        score=task.metric.score,
        clock=time.perf_counter,
    )


def _made(make: StudentMaker, device: torch.device, architecture: Architecture) -> torch.nn.Module:
    return torch.nn.Module.to(make(architecture), device)


def _common_sizes(task: TeacherTask, space: SearchSpace, candidates: Candidates) -> Architecture:
    """The largest value of each axis; the teacher's, if no model has these."""
    sizes = Architecture({axis: int(values.max()) for axis, values in candidates.columns.items()})
    try:
        build_on_meta(reconfigure(task.teacher.config, sizes), task.task)
    except (InvalidArchitectureError, UnsupportedModelError):  # heads of one candidate, width of another
        return space.maximum_point
    return sizes


def _trained(
    task: TeacherTask,
    space: SearchSpace,
    settings: SearchConfig,
    candidates: Candidates,
    sizes: Architecture,
    *,
    train_dataset: Dataset,
    path: Path | None,
    question: Mapping[str, Any],
) -> ElasticStudent:
    rows = task.answered_rows(train_dataset)
    maker = StudentMaker(task.teacher, task.tokenizer, task=task.task, rows=rows)
    shared = maker.ordered(sizes, is_teacher=_holds(candidates, space.maximum_point))
    student = _student(task, shared, sizes)
    _make_some_views(student, candidates)  # refused before any training
    sandwich = Sandwich(
        candidates,
        space.multiply_adds(candidates, sequence_length=settings.sequence_length),
        num_random=settings.elastic.num_random_views,
        seed=settings.seed,
    )
    with working(task.listener, "elastic training", settings.elastic.num_steps):
        report = train(
            student,
            task.teacher,
            sandwich,
            rows=rows,
            tokenizer=task.tokenizer,
            setting=settings.elastic,
            seed=settings.seed,
            task=task.task,
            state=path,
            question=question,
            on_step=lambda step, loss: task.listener.advance(step, f"loss {loss:.3f}"),
        )
    if report.resumed_from:
        task.listener.say(f"the elastic training went on from step {report.resumed_from}")
    if report.diverged:
        worst = max(report.diverged, key=lambda found: report.diverged[found])
        count = sum(report.diverged.values())
        task.listener.say(f"{count} losses of candidates were no finite numbers and were left out, most of {worst}")
    return student


def _make_some_views(student: ElasticStudent, candidates: Candidates) -> None:
    for index in np.unique(np.linspace(0, len(candidates) - 1, _NUM_TRIED).astype(int)):
        student.view(candidates[int(index)])


def _holds(candidates: Candidates, architecture: Architecture) -> bool:
    same = [values == architecture[axis] for axis, values in candidates.columns.items()]
    return bool(np.logical_and.reduce(same).any())


def _reused(task: TeacherTask, path: Path, sizes: Architecture) -> ElasticStudent:
    shared = from_scratch(task.teacher, sizes, task=task.task, seed=0)
    load_state(path, shared, None)
    shared.eval()
    return _student(task, shared, sizes)


def _student(task: TeacherTask, shared: PreTrainedModel, sizes: Architecture) -> ElasticStudent:
    return ElasticStudent(shared, sizes, task=task.task, dimension_map=known_map(task), config=task.teacher.config)


def known_map(task: TeacherTask) -> DimensionMap | None:
    """The dimension map, if students inherit through it."""
    try:
        found = derive_dimension_map(task.teacher.config, task.task)
        require_inheritable(found)
    except UnsupportedModelError:
        return None
    return found


def _set_aside(task: TeacherTask, state: Path, name: str) -> None:
    """Rename the state of another training, so that nothing is lost."""
    wait_for_all()
    if is_first_process():
        aside = state.with_name(f"{state.stem}-{name}{state.suffix}")
        task.listener.say(f"the elastic training begins anew: that in the folder had other settings, see {aside.name}")
        state.replace(aside)
    wait_for_all()
