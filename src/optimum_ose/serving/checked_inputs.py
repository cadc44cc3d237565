"""The texts of a request, bounded in number and length."""

from collections.abc import Callable
from typing import Any

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.inputs import TextPair, text_pairs
from optimum_ose.serving.protocol import ServerLimits, refused_input, too_much

Parts = Callable[[list[Any]], list[list[TextPair]]]
"""Gives the texts of each input."""


def single_texts(inputs: list[Any]) -> list[list[TextPair]]:
    """The texts of inputs that hold one each."""
    return [[pair] for pair in text_pairs(inputs)]


def checked_pairs(inputs: list[Any], limits: ServerLimits) -> list[TextPair]:
    """The texts of a request whose inputs hold one each; as `checked_parts`."""
    return [pair for (pair,) in checked_parts(inputs, limits, single_texts)]


def checked_parts(inputs: list[Any], limits: ServerLimits, parts_of: Parts) -> list[list[TextPair]]:
    """The texts of each input of a request.

    Raises:
        RequestError: 400 if one is no text, 422 if there are too many or one is too long.
    """
    check_number(len(inputs), limits)
    try:
        parts = parts_of(inputs)
    except InvalidDataError as error:
        raise refused_input(error) from error
    pairs = [pair for of_input in parts for pair in of_input]
    check_number(len(pairs), limits)
    check_length(max((len(text) for pair in pairs for text in pair if text is not None), default=0), limits)
    return parts


def check_number(number: int, limits: ServerLimits, *, what: str = "texts") -> None:
    """Refuse too many texts.

    Raises:
        RequestError: 422.
    """
    if number > limits.max_texts:
        raise too_much(
            f"A request may hold at most {limits.max_texts} {what}", f"it holds {number}", "Send several requests"
        )


def check_length(longest: int, limits: ServerLimits) -> None:
    """Refuse a text of too many characters.

    Raises:
        RequestError: 422.
    """
    if longest > limits.max_text_characters:
        raise too_much(
            f"A text may have at most {limits.max_text_characters} characters",
            f"one has {longest}",
            "Cut the text; the model reads its beginning only",
        )
