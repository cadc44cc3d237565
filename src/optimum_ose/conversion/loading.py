"""Loads a model with what makes its inputs, ready to be exported for a task."""

from dataclasses import dataclass
from typing import final

from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.conversion.task_choice import chosen_task
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.length import usable_length
from optimum_ose.modeling.loading import require_float32
from optimum_ose.optimizer.completing import complete, fit_tokenizer, load_for, require_trial
from optimum_ose.preprocessing import Preprocessor, text_tokenizer
from optimum_ose.tasks.parts.pooling import Pooling, SentencePooling, set_pooling
from optimum_ose.tasks.parts.task import Task

_MAX_WRITTEN = 20
"""Tokens after which Transformers stops writing where nothing names a number."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is exported."""

    model: PreTrainedModel
    """In float32 and evaluation mode."""
    processor: Preprocessor
    """What makes its inputs."""
    task: Task
    """What it does."""
    name: str | None
    """Its folder or Hub id; None: it was in memory."""
    max_length: int | None
    """Tokens at which texts are cut; None: no limit, or as the tokenizer says."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """None where the inputs are images or sounds."""
        return text_tokenizer(self.processor)


def load_source(
    source: str,
    config: PretrainedConfig,
    task: Task,
    *,
    processor: Preprocessor | None = None,
    pooling: Pooling | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> Source:
    """The model of a folder, Hub id, or folder of sentence-transformers.

    Args:
        source: folder or Hub id.
        config: of the model.
        task: of the export.
        processor: what makes its inputs; None: what lies beside it.
        pooling: how a text's one vector is made; None: as the folder says.
        trust_remote_code: run code that comes with the model.
        revision: on the Hub.

    Raises:
        InvalidConfigError: if files are missing or damaged, or hold no head for the task.
        UnsupportedModelError: if the model is not handled.
    """
    found = load_for(
        task,
        source,
        config,
        processor=processor,
        needs_head=True,
        trust_remote_code=trust_remote_code,
        revision=revision,
    )
    if not found.has_head:
        raise InvalidConfigError(
            f"A model that is exported for {task.name} must have a trained head for it",
            f"the weight files of {source} hold none",
            "Name the task of the head that they hold (--task), or fine-tune the model first (ose run)",
        )
    return _ready(found.model, found.processor, task, pooling, name=source, cut=found.max_length)


def given_source(
    model: PreTrainedModel, processor: Preprocessor | None, task: str | None, *, pooling: Pooling | None = None
) -> Source:
    """A model in memory. Its config, and the tokenizer's padding token, are completed in place.

    Raises:
        InvalidConfigError: if the processor is none for the task, or the task is not told.
        UnsupportedModelError: if the weights are not float32, or the model is not handled.
    """
    model.config.architectures = [type(model).__name__]
    definition = chosen_task(model.config, task, source=type(model).__name__)
    if processor is None or not isinstance(processor, definition.inputs.processor):
        raise InvalidConfigError(
            f"The task {definition.name} needs {definition.inputs.processor_name}",
            f"got {'none' if processor is None else f'a {type(processor).__name__}'}",
            "Pass the model's own as processing_class",
        )
    require_float32(model)
    fit_tokenizer(model.config, processor, definition)
    return _ready(model, processor, definition, pooling, name=None, cut=None)


def _ready(
    model: PreTrainedModel,
    processor: Preprocessor,
    task: Task,
    pooling: Pooling | None,
    *,
    name: str | None,
    cut: int | None,
) -> Source:
    """The model, tried, its config complete for serving."""
    if pooling is not None and task.encodes_texts:
        set_pooling(model.config, SentencePooling(mode=pooling))
    require_trial(model, processor)
    complete(model, processor, task, max_length=GenerationConfig().max_length or _MAX_WRITTEN)
    tokenizer = text_tokenizer(processor)
    limits = [limit for limit in (cut, usable_length(model.config, tokenizer)) if limit is not None]
    keeps = tokenizer is None or task.continues_texts
    limit = None if keeps else min(limits, default=None)
    return Source(model=model, processor=processor, task=task, name=name, max_length=limit)
