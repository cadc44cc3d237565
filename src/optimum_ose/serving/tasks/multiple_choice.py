"""The right one of several choices for a question: each choice is a pair of texts with one score."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.inputs import TextPair, checked_text
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import Options, Rows, RowTask, ServedTask
from optimum_ose.serving.tasks.parts.labels import softmax
from optimum_ose.wording import shown

_EXAMPLE = {"question": "What is a dog?", "choices": ["an animal", "a tool"]}


def _parts(inputs: list[Any]) -> list[list[TextPair]]:
    """The pairs of texts of each question, one for each choice.

    Raises:
        InvalidDataError: if one is no question with at least two choices.
    """
    return [_pairs(item) for item in inputs]


def _pairs(item: Any) -> list[TextPair]:
    if not isinstance(item, Mapping) or not {"choices"} < set(item) <= {"context", "question", "choices"}:
        raise _refusal(f"got {shown(item)}")
    choices = item["choices"]
    if not isinstance(choices, list) or len(choices) < 2:
        raise _refusal("choices is no list of at least two texts")
    texts = [checked_text(choice) for choice in choices]
    context, question = (checked_text(item.get(name, "")) for name in ("context", "question"))
    if (not context and not question) or not all(texts):
        raise _refusal("got an empty text")
    if not context:
        return [(question, text) for text in texts]
    return [(context, f"{question} {text}".strip()) for text in texts]


def _refusal(actual: str) -> InvalidDataError:
    return InvalidDataError(
        "Inputs of multiple choice must be an object with a question, its choices and maybe a context, or a list of "
        "these",
        actual,
        'Send {"question": "...", "choices": ["...", "..."]}',
    )


def _answers(pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
    return [float(row[0]) for row in rows]


def _joined(item: Any, scores: list[Any]) -> dict[str, Any]:
    """The most probable choice, and the probability of each."""
    shares = softmax(np.asarray(scores, dtype=np.float32))
    index = int(shares.argmax())
    return {
        "index": index,
        "choice": item["choices"][index],
        "score": float(shares[index]),
        "scores": [float(share) for share in shares],
    }


def _tensors(rows: Rows) -> dict[str, NDArray[Any]]:
    return {"score": np.array([row[0] for row in rows], dtype=np.float32)}


def _load(model: Model) -> RowTask:
    return RowTask(
        answers=_answers,
        outputs=(("score", "FP32", [-1]),),
        tensors=_tensors,
        may_be_empty=True,
        parts=_parts,
        joined=_joined,
    )


SERVED = ServedTask(
    load=_load,
    heads=("ForMultipleChoice",),
    num_axes=2,
    is_on_cards=True,
    is_in_transformers=False,
    example=_EXAMPLE,
    is_in_javascript=False,
)
"""A choice for each question."""
