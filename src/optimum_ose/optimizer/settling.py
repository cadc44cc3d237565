"""Settles what the settings of a search leave open: the method, the share of the score to keep, and a bound on size."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from optimum_ose.configuration import SearchConfig
from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.configuration.search import DEFAULT_KEEP, LARGEST_SHARE, WITHOUT_SHORT_TRAININGS, Method
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.optimizer.elastic import known_map, require_views
from optimum_ose.optimizer.students import can_rank
from optimum_ose.optimizer.teacher_task import TeacherTask

_OF_SHORT_TRAININGS = "settings that only short trainings have (max_training_steps, hyperparameters, noise, ...)"


def settled(task: TeacherTask, settings: SearchConfig) -> SearchConfig:
    """The settings of a search with nothing left open; what was chosen is said. Settled ones are returned as they are.

    Args:
        task: of the teacher.
        settings: as the user gave them.

    Raises:
        InfeasibleError: if no candidate keeps the bounds on the size.
    """
    if settings.method is None and task.problem.judge is not None:  # answers are judged as a whole
        return replace(settings, method="certified", keep=settings.keep or 0.0, prefer=None)
    space = cache(lambda: task.search_space(settings))  # derived where something is open
    method = settings.method or _method(task, space, settings)
    if method not in WITHOUT_SHORT_TRAININGS:
        return replace(settings, method=method, keep=settings.keep or 0.0, prefer=None)
    keep = settings.keep
    if keep is None:
        keep = DEFAULT_KEEP if settings.is_open else 0.0
    prefer = settings.prefer or ("size" if settings.keep else "w")
    found = replace(settings, method=method, keep=keep, prefer=prefer if keep else None)
    is_open = settings.max_non_embedding_parameters is None and settings.objective == "w-coefficient"
    return _bounded(task, space(), found) if is_open else found


def _method(task: TeacherTask, space: Callable[[], SearchSpace], settings: SearchConfig) -> Method:
    if settings.names_short_trainings:
        task.listener.say(f"search.method is certified: {_OF_SHORT_TRAININGS} were set")
        return "certified"
    if settings.elastic == ElasticSetting() and _are_ranked(task, space()):
        return "inherited"
    try:
        require_views(task, space(), settings)
    except UnsupportedModelError as error:
        task.listener.say(f"search.method is certified, each candidate is trained alone: {error}")
        return "certified"
    return "elastic"


def _are_ranked(task: TeacherTask, space: SearchSpace) -> bool:
    """Whether every candidate inherits weights that are ranked and repaired, and answers that few numbers compare: of
    language models it was not measured whether these foresee the student.
    """
    if task.problem.kept_of_batch is not None or task.problem.excess is None:
        return False
    known, own = known_map(task), space.maximum_point
    return all(can_rank(known, own, {**own, axis: value}) for axis, found in space.axes.items() for value in found)


def is_default_keep(settings: SearchConfig) -> bool:
    """Whether the share to keep of settled settings is the one that nobody asked for."""
    return settings.keep == DEFAULT_KEEP and settings.prefer == "w"


def _bounded(task: TeacherTask, space: SearchSpace, settings: SearchConfig) -> SearchConfig:
    """With a bound on the size: the largest candidates cost most to train and save least. It is the same whatever else
    is asked, so that one training answers all questions.
    """
    limit = _default_limit(space)
    task.listener.say(
        f"candidates have at most {LARGEST_SHARE:.0%} of the teacher's parameters without embeddings, {limit:,}; "
        "set search.max_non_embedding_parameters for larger ones"
    )
    return replace(settings, max_non_embedding_parameters=limit)


def widened(space: SearchSpace, settings: SearchConfig) -> SearchConfig | None:
    """Settings that admit candidates of every size; None: they do, or the user bounded the size, or larger candidates
    would have to be trained.

    Args:
        space: the teacher's.
        settings: settled ones.
    """
    if settings.method != "inherited" or settings.max_non_embedding_parameters != _default_limit(space):
        return None
    (whole,) = space.parameter_size([space.maximum_point], count_embeddings=False)
    return replace(settings, max_non_embedding_parameters=int(whole))


def _default_limit(space: SearchSpace) -> int:
    sizes = space.parameter_size(space.candidates, count_embeddings=False)
    (whole,) = space.parameter_size([space.maximum_point], count_embeddings=False)
    return max(int(LARGEST_SHARE * whole), int(sizes.min()))
