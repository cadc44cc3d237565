"""How values from outside are quoted in messages: short, on one line, without control characters."""

import io
import sys
from collections.abc import Iterable

_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{code: f"\\u{code:04x}" for code in (0x61C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F))},
    **{code: f"\\u{code:04x}" for code in (*range(0x2066, 0x206A), *range(0xD800, 0xE000))},
}
"""Control characters, line separators, and marks that turn the direction of text: a terminal would obey them. Halves of
surrogate pairs, which names of files and JSON can hold, are in no encoding: they cannot be written at all."""
_WHITE = str.maketrans("\t\n\r", "   ")


def one_line(text: object, *, limit: int = 500) -> str:
    """Text on one line: white space becomes single spaces, control characters are escaped.

    Args:
        text: anything; its `str` is taken, of a `KeyError` in words.
        limit: characters kept; where more are there, a note says how many there were.
    """
    whole = f"there is no {text}" if isinstance(text, KeyError) else str(text)
    kept = " ".join(part for part in whole[: 4 * limit].translate(_WHITE).split(" ") if part).translate(_ESCAPES)
    is_whole = len(kept) <= limit and len(whole) <= 4 * limit
    return kept if is_whole else f"{kept[:limit]}... ({len(whole):,} characters)"


def first_line(error: BaseException) -> str:
    """The first line of an error's message that is not blank, else the name of its type."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def reading_fault(error: Exception) -> str:
    """Why a file of JSON or YAML could not be read, without what Python advises its own programmers to do."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if "set_int_max_str_digits" in str(error):
        return "it holds a number of thousands of digits; write it as a text, in quotes"
    return one_line(first_line(error), limit=200)


def printable(text: str) -> str:
    """A text of several lines with its control characters escaped, but for the ends of lines."""
    return "\n".join(line.translate(_ESCAPES) for line in text.split("\n"))


def shown(value: object, *, limit: int = 80) -> str:
    """The `repr` of a value on one line, cut at `limit` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError) as error:  # integers of thousands of digits, thousands of nested lists
        text = f"<{type(value).__name__} without a repr: {type(error).__name__}>"
    return one_line(text, limit=limit)


def listed(names: Iterable[object], *, limit: int = 8) -> str:
    """The first `limit` names, comma-separated, each cut at 60 characters, and how many more there are."""
    found = list(names)
    text = ", ".join(one_line(name, limit=60) for name in found[:limit])
    return text if len(found) <= limit else f"{text} and {len(found) - limit:,} more"


def can_name_a_file(text: str) -> bool:
    """Whether a path can be given to every library: not blank, in UTF-8 (ONNX Runtime takes no other), without null."""
    return bool(text.strip()) and "\0" not in text and not any(0xD800 <= ord(character) < 0xE000 for character in text)


def let_output_escape() -> None:
    """Let standard output escape what its encoding lacks, as standard error does, instead of failing on it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
