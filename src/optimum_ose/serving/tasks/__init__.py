"""The tasks as they are served, one file each, called as its twin in `optimum_ose.tasks`; without torch."""

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from optimum_ose.exceptions import UnsupportedModelError

if TYPE_CHECKING:
    from optimum_ose.serving.served_task import ServedTask


def served_tasks() -> "dict[str, ServedTask]":
    """All of them by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return {name.replace("_", "-"): import_module(f"{__name__}.{name}").SERVED for name in names}


def task_of_head(config: Mapping[str, Any]) -> str:
    """What a model does, by the name of its class: the task with the longest ending of that name, or the one with such
    an ending that the config names.

    Args:
        config: a checked config.json.

    Raises:
        UnsupportedModelError: if that is nothing known here.
    """
    architecture = str((config.get("architectures") or ["model of no named class"])[0])
    tasks, marked = served_tasks(), config.get("served_task")
    if isinstance(marked, str) and marked in tasks and architecture.endswith(tasks[marked].heads or ("",)):
        return marked
    endings = {ending: name for name, task in tasks.items() if not task.is_marked for ending in task.heads}
    known = [ending for ending in endings if architecture.endswith(ending)]
    if not known:
        raise UnsupportedModelError(
            f"Serving knows {', '.join(sorted(set(endings.values())))}",
            f"the model is a {architecture}",
            "Load it with transformers or optimum-onnx instead",
        )
    return endings[max(known, key=len)]


def task_of_file(head: str, output_names: Sequence[str]) -> str:
    """The task of an ONNX file: that of its head, unless the name of an output marks another task.

    Args:
        head: what `task_of_head` gave.
        output_names: of the file.
    """
    marked = [name for name, task in served_tasks().items() if task.output in output_names]
    return marked[0] if marked else head
