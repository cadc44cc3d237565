"""The tasks, one file each: `TASK` in `question_answering.py` is the task question-answering. A new one is a new file;
what tasks are made of is in `parts`. A file whose `TASK` is another one's is another name of that one.

Importing this module imports no task; `task_named` imports one.
"""

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.wording import shown

if TYPE_CHECKING:
    from optimum_ose.tasks.parts.task import Task

DEFAULT_TASK = "text-classification"
"""Where none is named."""
CHOICE_TASK = "multiple-choice"
"""What a benchmark's question with as many choices as the others is trained as, where no task is named."""
HEADLESS_TASK = "feature-extraction"
"""What a model without a head does."""


def task_names() -> tuple[str, ...]:
    """Names of all tasks, in the order of the alphabet."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if not module.ispkg))


def task_named(name: object) -> "Task":
    """A task by its name in Transformers.

    Raises:
        UnsupportedModelError: if there is none.
    """
    if not isinstance(name, str) or name not in task_names():
        raise _refusal(task_names(), name)
    task: Task = import_module(f"{__name__}.{name.replace('-', '_')}").TASK
    return task


def distillable_task(name: object) -> "Task":
    """A task that students can be distilled for.

    Raises:
        UnsupportedModelError: if it is none.
    """
    return _among([task for task in map(task_named, task_names()) if task.problem_of is not None], name)


def labeled_task(name: object) -> "Task":
    """A task whose rows have labels that judge a student, so that the whole way goes.

    Raises:
        UnsupportedModelError: if it is none.
    """
    return _among([task for task in map(task_named, task_names()) if task.has_labels], name)


def _among(tasks: "list[Task]", name: object) -> "Task":
    by_name = {task.name: task for task in tasks}
    known = task_named(name).name if name in task_names() else name
    if not isinstance(known, str) or known not in by_name:
        raise _refusal(by_name, name)
    return by_name[known]


def _refusal(names: "tuple[str, ...] | dict[str, Task]", name: object) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"task must be one of {', '.join(names)}", f"got {shown(name)}", "Choose one of these tasks"
    )
