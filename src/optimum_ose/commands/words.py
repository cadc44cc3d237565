"""Types of command-line arguments: what a word must be, told in one line."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

from optimum_ose.wording import can_name_a_file, shown

NONE = "none"
"""The word that unsets a setting."""
LARGEST_SEED = 2**32 - 1
"""Of numpy and scikit-learn."""


def text(word: str) -> str:
    """A word that is not blank.

    Raises:
        ArgumentTypeError: if it is.
    """
    if not word.strip():
        raise ArgumentTypeError(f"must not be empty; got {shown(word)}")
    return word


def path(word: str) -> Path:
    """A path that is not blank: an empty one would name the current folder.

    Raises:
        ArgumentTypeError: if it is, or if it holds a null character or is not in UTF-8.
    """
    if not can_name_a_file(text(word)):
        raise ArgumentTypeError(f"must be a path in UTF-8; got {shown(word)}")
    return Path(word)


def whole_number(least: int = 1, most: int = 2**63 - 1) -> Callable[[str], int]:
    """A whole number between two bounds, both included."""

    def convert(word: str) -> int:
        digits = word.strip().removeprefix("-")
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 20
        if not is_number or not least <= int(word) <= most:
            raise ArgumentTypeError(f"must be a whole number from {least} to {most}; got {shown(word)}")
        return int(word)

    return convert


def number(word: str) -> float:
    """A number; its bounds are those of the setting that it gives.

    Raises:
        ArgumentTypeError: if it is none.
    """
    try:
        return float(word)
    except ValueError:
        raise ArgumentTypeError(f"must be a number; got {shown(word)}") from None


def number_or_none(word: str) -> float:
    """A number, or the word none, which stands for 0.

    Raises:
        ArgumentTypeError: if it is neither.
    """
    if word.strip().lower() == NONE:
        return 0.0
    try:
        return number(word)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"must be a number or {NONE}; got {shown(word)}") from None
