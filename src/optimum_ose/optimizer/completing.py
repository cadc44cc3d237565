"""Loads a model with what makes its inputs, and completes both for a task: of a teacher, or of any model to export."""

from dataclasses import dataclass
from typing import final

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.modeling.loading import (
    load_checkpoint,
    load_preprocessor,
    require_fitting_tokenizer,
    require_matching,
    settle_padding,
)
from optimum_ose.modeling.sentence_folder import settle_pooling
from optimum_ose.modeling.trial import require_answer
from optimum_ose.optimizer.speech_head import fit_tokens
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.tasks.parts.task import Task


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was loaded."""

    model: PreTrainedModel
    """With a head for the task."""
    processor: Preprocessor
    """What makes its inputs."""
    has_head: bool
    """Whether the head is trained."""
    max_length: int | None
    """Tokens at which its folder says that texts are cut; None: it does not say."""


def load_for(
    task: Task,
    source: str,
    config: PretrainedConfig,
    *,
    processor: Preprocessor | None = None,
    needs_head: bool = False,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> Loaded:
    """The model of a folder or Hub id. Its config is completed in place.

    Args:
        task: what it does.
        source: folder or Hub id.
        config: of the model.
        processor: what makes its inputs; None: what lies beside it.
        needs_head: whether a head that is no trained one for the task is a fault, and never fitted to the processor.
        trust_remote_code: run code that comes with the model.
        revision: on the Hub.

    Raises:
        InvalidConfigError: if files are missing or damaged, or do not belong together.
        UnsupportedModelError: if the model is not handled.
    """
    max_length = settle_pooling(config, source, task, revision=revision) if task.encodes_texts else None
    if processor is None:
        kind = task.inputs.processor
        processor = load_preprocessor(source, kind, trust_remote_code=trust_remote_code, revision=revision)
    fit_tokenizer(config, processor, task)
    if task.outputs_are_tokens:
        fit_tokens(config, processor, has_head=needs_head or task.holds_head(config))
    found = load_checkpoint(source, config, task=task.name, trust_remote_code=trust_remote_code, revision=revision)
    return Loaded(model=found.model, processor=processor, has_head=found.has_head, max_length=max_length)


def fit_tokenizer(config: PretrainedConfig, processor: Preprocessor, task: Task) -> None:
    """Pass if a tokenizer fits a model, and let both have the same padding token, in place.

    Raises:
        InvalidConfigError: if it has more tokens than the model.
    """
    if isinstance(processor, PreTrainedTokenizerBase):
        require_fitting_tokenizer(config, processor)
        settle_padding(config, processor, task=task.name)


def require_trial(model: PreTrainedModel, processor: Preprocessor) -> None:
    """Pass if a model answers an input as its processor makes it.

    Raises:
        InvalidConfigError, UnsupportedModelError: if it does not.
    """
    if isinstance(processor, PreTrainedTokenizerBase):
        require_answer(model, processor)
    else:
        require_matching(model, processor)


def complete(model: PreTrainedModel, processor: Preprocessor, task: Task, *, max_length: int) -> None:
    """Let a model's config, in place, say what serving must know of the task.

    Args:
        model: with a head for the task.
        processor: what makes its inputs.
        task: what it does.
        max_length: tokens that a model that writes may write.
    """
    if task.settle_head is not None:
        task.settle_head(model.config)
    elif getattr(model.config, "served_task", None) is not None:
        model.config.served_task = None  # that of a folder which served another task with this head
    if task.settle_model is not None:
        task.settle_model(model, processor, max_length)
