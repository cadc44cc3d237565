"""The tasks that optimum-ose can handle, the Auto class of each, and what kind of problem a model solves in it."""

from typing import Any, Literal

import transformers
from transformers import PretrainedConfig

from optimum_ose.exceptions import UnsupportedModelError

_AUTO_CLASSES = {
    "feature-extraction": "AutoModel",
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
    "text-generation": "AutoModelForCausalLM",
    "image-classification": "AutoModelForImageClassification",
    "audio-classification": "AutoModelForAudioClassification",
}
_HEADS = {
    "text-classification": ("ForSequenceClassification",),
    "token-classification": ("ForTokenClassification",),
    "fill-mask": ("ForMaskedLM", "ForPreTraining"),
    "text-generation": ("ForCausalLM", "LMHeadModel"),
    "feature-extraction": ("",),
    "image-classification": ("ForImageClassification",),
}
"""Task -> endings of the classes whose files hold its head."""
TEXT_TRAINABLE_TASKS = ("text-classification", "token-classification")
"""Tasks of texts whose labels judge a student."""
IMAGE_TASKS = ("image-classification",)
"""Tasks of images; an image processor takes the place of the tokenizer."""
TRAINABLE_TASKS = (*TEXT_TRAINABLE_TASKS, *IMAGE_TASKS)
"""Tasks that the whole way goes for: their labels judge a student."""
DISTILLABLE_TASKS = (*TRAINABLE_TASKS, "fill-mask", "text-generation", "feature-extraction")
"""Tasks that a student can be distilled for; those without labels of people learn from text alone."""

Problem = Literal[
    "single-label", "multi-label", "regression", "token-labels", "masked-tokens", "next-tokens", "representation"
]
"""What an answer is: a class, a set of classes, numbers, a class for each token, a word for each masked token, the next
word for each token, or a vector."""
_BY_TASK: dict[str, Problem] = {
    "token-classification": "token-labels",
    "fill-mask": "masked-tokens",
    "text-generation": "next-tokens",
    "feature-extraction": "representation",
}
_BY_TYPE: dict[str | None, Problem] = {
    "regression": "regression",
    "multi_label_classification": "multi-label",
    "single_label_classification": "single-label",
}


def auto_class(task: str | None) -> Any:
    """The Auto class of a task; `AutoModel` for None.

    Raises:
        UnsupportedModelError: for a task that is not handled.
    """
    name = task or "feature-extraction"
    if name not in _AUTO_CLASSES:
        raise UnsupportedModelError(
            f"task must be one of {', '.join(_AUTO_CLASSES)}", f"got {name!r}", "Choose one of these tasks"
        )
    return getattr(transformers, _AUTO_CLASSES[name])


def problem_of(task: str, config: PretrainedConfig) -> Problem:
    """The problem that a model of this task and config solves; of sequence classifiers, what `problem_type` says. One
    that does not say it answers a number if it has one output, as Transformers' losses take it.
    """
    if task in _BY_TASK:
        return _BY_TASK[task]
    named = _BY_TYPE.get(getattr(config, "problem_type", None))
    return named or ("regression" if config.num_labels == 1 else "single-label")


def holds_head(config: PretrainedConfig, task: str) -> bool:
    """Whether the files behind a config hold a head for the task."""
    return task == "feature-extraction" or any(
        name.endswith(ending) for name in config.architectures or () for ending in _HEADS.get(task, ())
    )


def require_trainable(task: str) -> None:
    """Refuse a task that can be derived but not trained with labels.

    Raises:
        UnsupportedModelError: for such a task.
    """
    _require(task, TRAINABLE_TASKS)


def require_text_task(task: str) -> None:
    """Refuse a task that is not trained with labels of texts, which is all that the command line reads.

    Raises:
        UnsupportedModelError: for such a task.
    """
    if task in IMAGE_TASKS:
        raise UnsupportedModelError(
            f"The command line reads texts: --task must be one of {', '.join(TEXT_TRAINABLE_TASKS)}",
            f"got {task!r}",
            "Call OSEOptimizer.optimize from Python",
        )
    _require(task, TEXT_TRAINABLE_TASKS)


def require_distillable(task: str) -> None:
    """Refuse a task that no student can be distilled for.

    Raises:
        UnsupportedModelError: for such a task.
    """
    _require(task, DISTILLABLE_TASKS)


def _require(task: str, tasks: tuple[str, ...]) -> None:
    if task not in tasks:
        raise UnsupportedModelError(
            f"task must be one of {', '.join(tasks)}", f"got {task!r}", "Choose one of these tasks"
        )
