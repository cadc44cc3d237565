"""Texts and text pairs as users give them, checked and brought to one form."""

from collections.abc import Mapping
from typing import Any

from optimum_ose.exceptions import InvalidDataError

TextPair = tuple[str, str | None]
"""A text and, where the task compares two, its partner."""


def text_pairs(inputs: object) -> list[TextPair]:
    """One text, one `{"text", "text_pair"}` mapping, or a list of either, as a list of pairs.

    An empty partner counts as none, as in transformers.

    Raises:
        InvalidDataError: if something is neither.
    """
    return [_text_pair(item) for item in (inputs if isinstance(inputs, list) else [inputs])]


def _text_pair(item: object) -> TextPair:
    if isinstance(item, Mapping) and set(item) <= {"text", "text_pair"} and "text" in item:
        partner = item.get("text_pair")
        return _text(item["text"]), None if partner is None else _text(partner) or None
    if isinstance(item, Mapping):
        raise _refusal(f"got the keys {sorted(map(str, item))[:5]}")
    return _text(item), None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _refusal(f"got a value of type {type(value).__name__}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _refusal("got half of a surrogate pair, which no text holds")
    return value


def _refusal(actual: str) -> InvalidDataError:
    return InvalidDataError(
        "Inputs must be a text, or an object with text and text_pair, or a list of these",
        actual,
        'Send "a text", ["text", ...] or {"text": "...", "text_pair": "..."}',
    )
