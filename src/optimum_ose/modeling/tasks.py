"""The tasks that optimum-ose can handle, and the Auto class of each."""

from typing import Any

import transformers

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
TRAINABLE_TASKS = ("text-classification",)
"""Tasks that can be distilled and fine-tuned."""


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


def require_trainable(task: str) -> None:
    """Refuse a task that can be derived but not trained.

    Raises:
        UnsupportedModelError: for such a task.
    """
    if task not in TRAINABLE_TASKS:
        raise UnsupportedModelError(
            f"task must be one of {', '.join(TRAINABLE_TASKS)}", f"got {task!r}", "Choose one of these tasks"
        )
