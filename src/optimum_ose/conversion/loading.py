"""Loads a model with what makes its inputs, ready to be exported for a task."""

from dataclasses import dataclass
from typing import Any, final

from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.conversion.task_choice import chosen_task
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.length import usable_length
from optimum_ose.modeling.loading import (
    load_checkpoint,
    load_config,
    load_preprocessor,
    require_fitting_tokenizer,
    require_float32,
    require_matching,
    settle_padding,
)
from optimum_ose.modeling.sentence_folder import settle_pooling
from optimum_ose.modeling.trial import require_answer
from optimum_ose.optimizer.speech_head import fit_tokens
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
    task: str | None,
    *,
    processor: Preprocessor | None = None,
    pooling: Pooling | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> Source:
    """The model of a folder, Hub id, or folder of sentence-transformers.

    Args:
        source: folder or Hub id.
        task: of the export; None: its config tells.
        processor: what makes its inputs; None: what lies beside it.
        pooling: how a text's one vector is made; None: as the folder says.
        trust_remote_code: run code that comes with the model.
        revision: on the Hub.

    Raises:
        InvalidConfigError: if files are missing or damaged, or hold no head for the task.
        UnsupportedModelError: if the model or its task is not handled.
    """
    remote: Any = {"trust_remote_code": trust_remote_code, "revision": revision}
    config = load_config(source, **remote)
    definition = chosen_task(config, task, source=source)
    cut = settle_pooling(config, source, definition, revision=revision) if definition.encodes_texts else None
    if processor is None:
        processor = load_preprocessor(source, definition.inputs.processor, **remote)
    _settle(config, processor, definition, pooling)
    if definition.outputs_are_tokens:
        fit_tokens(config, processor, has_head=True)
    found = load_checkpoint(source, config, task=definition.name, **remote)
    if not found.has_head:
        raise InvalidConfigError(
            f"A model that is exported for {definition.name} must have a trained head for it",
            f"the weight files of {source} hold none",
            "Name the task of the head that they hold (--task), or fine-tune the model first (ose run)",
        )
    return _ready(found.model, processor, definition, name=source, cut=cut)


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
    _settle(model.config, processor, definition, pooling)
    return _ready(model, processor, definition, name=None, cut=None)


def _settle(config: PretrainedConfig, processor: Preprocessor, task: Task, pooling: Pooling | None) -> None:
    if pooling is not None and task.encodes_texts:
        set_pooling(config, SentencePooling(mode=pooling))
    if isinstance(processor, PreTrainedTokenizerBase):
        require_fitting_tokenizer(config, processor)
        settle_padding(config, processor, task=task.name)


def _ready(model: PreTrainedModel, processor: Preprocessor, task: Task, *, name: str | None, cut: int | None) -> Source:
    """The model, tried, its config complete for serving."""
    tokenizer = text_tokenizer(processor)
    if tokenizer is None:
        require_matching(model, processor)
    else:
        require_answer(model, tokenizer)
    config: Any = model.config
    if task.settle_head is not None:
        task.settle_head(config)
    elif getattr(config, "served_task", None) is not None:
        config.served_task = None
    if task.settle_model is not None:
        task.settle_model(model, processor, GenerationConfig().max_length or _MAX_WRITTEN)
    limits = [limit for limit in (cut, usable_length(config, tokenizer)) if limit is not None]
    keeps = tokenizer is None or task.continues_texts
    limit = None if keeps else min(limits, default=None)
    return Source(model=model, processor=processor, task=task, name=name, max_length=limit)
