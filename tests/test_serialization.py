"""The same value gives the same bytes, and a file is written whole or not at all."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serialization import canonical_json, digest, plain, read_json, write_atomic

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_canonical_json_is_json_of_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=1))
def test_the_order_of_keys_does_not_matter(value: dict) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)


def test_numbers_that_json_lacks_become_null_and_numpy_becomes_plain() -> None:
    assert plain({"a": float("nan"), "b": np.float64(1.5), "c": (np.int64(2),)}) == {"a": None, "b": 1.5, "c": [2]}


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be written as JSON: set"):
        plain({1, 2})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_atomic(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert [item.name for item in tmp_path.iterdir()] == ["file.json"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"{", "Expecting"), (b"9" * 5000, "thousands of digits"), (b"[" * 9000, "nested too deeply"), (b"\xff", "UTF-8")],
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InvalidConfigError, match=f"must be a JSON file; reading it failed: .*{fault}"):
        read_json(tmp_path / "x.json")
