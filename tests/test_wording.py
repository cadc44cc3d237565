"""Messages stay short and on one line, whatever they quote."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.exceptions import OSEError
from optimum_ose.wording import listed, one_line, printable, shown


@given(st.text(), st.text(), st.text())
def test_an_error_is_one_printable_line(expected: str, actual: str, remedy: str) -> None:
    message = str(OSEError(expected, actual, remedy))
    assert len(message.splitlines()) <= 1
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in message)


@given(st.integers(1, 10**6))
def test_an_error_does_not_grow_with_what_it_quotes(size: int) -> None:
    assert len(str(OSEError("x" * size, "y\n" * size, "z" * size))) < 2_400


@pytest.mark.parametrize("limit", [10, 100])
def test_text_within_the_limit_is_kept_whole(limit: int) -> None:
    assert one_line("a b\nc", limit=limit) == "a b c"


def test_cut_text_tells_its_length() -> None:
    assert one_line("a" * 1234, limit=5) == "aaaaa... (1,234 characters)"


def test_terminal_escapes_and_direction_marks_are_spelled_out() -> None:
    assert one_line("\x1b[31mred\u202e\u2028") == r"\x1b[31mred\u202e\u2028"
    assert one_line("a\u200eb\u200fc\u061cd") == r"a\u200eb\u200fc\u061cd"


def test_what_no_encoding_holds_is_spelled_out() -> None:
    assert one_line("a\ud800b\udcff") == printable("a\ud800b\udcff") == r"a\ud800b\udcff"


@pytest.mark.parametrize("text", ["caf\u00e9 \U0001f642", "a\udcff"])
def test_output_in_a_small_encoding_does_not_fail(text: str) -> None:
    program = f"from optimum_ose.wording import let_output_escape; let_output_escape(); print({text!a})"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == text.encode("ascii", "backslashreplace").decode()


def test_what_has_no_repr_is_still_told() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert "RecursionError" in shown(nested)
    assert "ValueError" in shown(10**5000)


def test_a_long_list_of_names_says_how_many_follow() -> None:
    assert listed(range(150), limit=3) == "0, 1, 2 and 147 more"
    assert listed(["a"]) == "a"
