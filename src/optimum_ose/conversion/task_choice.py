"""Which task a model is exported for: the one that was named, or the one that the class in its config tells."""

from transformers import MODEL_MAPPING, PretrainedConfig, PreTrainedTokenizerBase, ProcessorMixin
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor
from transformers.image_processing_utils import BaseImageProcessor

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.serving.tasks import task_of_head
from optimum_ose.tasks import task_named, task_names
from optimum_ose.tasks.parts.task import Task
from optimum_ose.wording import listed, one_line, shown

_READERS: dict[str, tuple[type, ...]] = {
    "input_ids": (PreTrainedTokenizerBase,),
    "pixel_values": (BaseImageProcessor,),
    "input_values": (SequenceFeatureExtractor, ProcessorMixin),
}
"""What makes the main input of a model."""


def fitting_tasks(config: PretrainedConfig) -> tuple[str, ...]:
    """Names of the tasks for which Transformers has a model of this type, and which its inputs and stacks fit."""
    has_both = bool(getattr(config, "is_encoder_decoder", False))
    main_input = getattr(MODEL_MAPPING.get(type(config), None), "main_input_name", "input_ids")
    return tuple(
        name
        for name in task_names()
        if (task := task_named(name)).name == name
        and task.has_two_stacks == has_both
        and issubclass(task.inputs.processor, _READERS.get(main_input, ()))
        and type(config) in task.auto_class._model_mapping
    )


def chosen_task(config: PretrainedConfig, name: str | None, *, source: str) -> Task:
    """The task of an export.

    Args:
        config: of the model; `architectures` names its class.
        name: the task that was asked for; None: the config tells.
        source: the model's folder or Hub id, for messages.

    Raises:
        InvalidConfigError: if no task was named, and the config does not tell; or if its files hold another head.
        UnsupportedModelError: if there is no such task, or the model type cannot have it.
    """
    fitting = fitting_tasks(config) if type(config).__module__.startswith("transformers.") else task_names()
    task = _told(config, fitting, source) if name is None else task_named(name)
    if task.name not in fitting:
        raise UnsupportedModelError(
            f"A model of the type {config.model_type} must be exported for {_one_of(fitting)}",
            f"{one_line(source, limit=120)} was asked for {task.name}" if name else _named(config),
            "Name one of these tasks (--task)" if fitting else "Choose another model",
        )
    if config.architectures and not task.holds_head(config):
        raise InvalidConfigError(
            f"A model that is exported for {task.name} must have a trained head for it",
            f"the files of {one_line(source, limit=120)} hold {_named(config)}",
            "Name the task of that head (--task), or fine-tune the model first (ose run)",
        )
    return task


def _told(config: PretrainedConfig, fitting: tuple[str, ...], source: str) -> Task:
    found: str | None
    try:
        found = task_of_head({**config.to_dict(), "architectures": config.architectures})
    except UnsupportedModelError:
        found = next((name for name in fitting if _holds_named_head(config, task_named(name))), None)
    if found is None or not config.architectures:
        raise InvalidConfigError(
            f"The task (--task) must be named where config.json does not tell it: {_one_of(fitting)}",
            f"config.json of {one_line(source, limit=120)} names {_named(config)}",
            "Name the task whose head the files hold" if fitting else "Choose another model",
        )
    return task_named(found)


def _holds_named_head(config: PretrainedConfig, task: Task) -> bool:
    return any(ending and name.endswith(ending) for name in config.architectures or () for ending in task.heads)


def _named(config: PretrainedConfig) -> str:
    return f"the class {shown(config.architectures[0])}" if config.architectures else "no class (architectures)"


def _one_of(names: tuple[str, ...]) -> str:
    return listed(names, limit=len(names)) if names else "no task: none of ours reads what it reads"
