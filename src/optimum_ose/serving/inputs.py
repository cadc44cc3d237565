"""Texts and text pairs as users give them, checked and brought to one form."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed, shown

Aggregation = Literal["none", "simple", "first", "average", "max"]
"""How tokens become entities: as they are; those of one entity joined; or words made of their tokens before that, by
the label of the first token, of the mean of all, or of the surest one."""
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
"""All of them."""
_OTHER_NAMES = {"text": "text", "query": "text", "text_pair": "text_pair", "document": "text_pair"}
"""Of a text and its partner."""
TextPair = tuple[str, str | None]
"""A text and, where the task compares two, its partner."""


def text_pairs(inputs: object) -> list[TextPair]:
    """One text, one `{"text", "text_pair"}` mapping, or a list of either, as a list of pairs.

    `query` and `document` are other names of the two. An empty partner counts as none, as in transformers.

    Raises:
        InvalidDataError: if something is neither.
    """
    return [_text_pair(item) for item in (inputs if isinstance(inputs, list) else [inputs])]


def question_contexts(inputs: object) -> list[tuple[str, str]]:
    """One `{"question", "context"}` mapping, or a list of these, as a list of pairs.

    Raises:
        InvalidDataError: if something is none, or a text in it is empty.
    """
    pairs = []
    for item in inputs if isinstance(inputs, list) else [inputs]:
        if not isinstance(item, Mapping) or set(item) != {"question", "context"}:
            raise _question_refusal(f"got {type(item).__name__} {shown(item)}")
        question, context = _text(item["question"]), _text(item["context"])
        if not question or not context:
            raise _question_refusal("got an empty text")
        pairs.append((question, context))
    return pairs


def checked_text(value: Any) -> str:
    """A text.

    Raises:
        InvalidDataError: if it is none.
    """
    return _text(value)


def _question_refusal(actual: str) -> InvalidDataError:
    return InvalidDataError(
        "Inputs of question answering must be an object with a question and a context, or a list of these",
        actual,
        'Send {"question": "...", "context": "..."}',
    )


def _text_pair(item: object) -> TextPair:
    if isinstance(item, Mapping) and set(item) <= _OTHER_NAMES.keys():
        named = {_OTHER_NAMES[name]: value for name, value in item.items()}
        item = named if len(named) == len(item) else item
    if isinstance(item, Mapping) and set(item) <= {"text", "text_pair"} and "text" in item:
        partner = item.get("text_pair")
        return _text(item["text"]), None if partner is None else _text(partner) or None
    if isinstance(item, Mapping):
        raise _refusal(f"got the keys {listed(map(str, item), limit=5)}")
    return _text(item), None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _refusal(f"got a value of type {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _refusal("got half of a surrogate pair, which no text holds") from error
    return value


def _refusal(actual: str) -> InvalidDataError:
    return InvalidDataError(
        "Inputs must be a text, or an object with text and text_pair, or a list of these",
        actual,
        'Send "a text", ["text", ...] or {"text": "...", "text_pair": "..."}',
    )
