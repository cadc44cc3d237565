"""The journal loses nothing that was finished, and answers one question only."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.exceptions import JournalError
from optimum_ose.journal import Journal

OF_NO_KIND = st.text(max_size=5).map("any {}".format)
"""Names that no entry of a training or of a timing block has: what those lack is another test's."""
ENTRIES = st.lists(
    st.dictionaries(OF_NO_KIND, st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)),
    max_size=6,
)


@given(entries=ENTRIES, cut=st.integers(1, 40))
def test_cut_anywhere_it_keeps_every_line_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, entries: list, cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path, question={"seed": 1})
    header = path.stat().st_size
    for entry in entries:
        journal.append(entry)
    size = max(header, path.stat().st_size - cut)
    os.truncate(path, size)
    whole = path.read_bytes()[header:].count(b"\n")
    again = Journal(path, question={"seed": 1})
    assert list(again) == entries[:whole]
    again.append({"next": 1.0})
    assert list(Journal(path, question={"seed": 1})) == [*entries[:whole], {"next": 1.0}]


def test_a_cut_off_last_line_is_dropped_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, question={}).append({"error": 1.0})
    with path.open("ab") as stream:
        stream.write(b'{"error": 2')
    assert list(Journal(path, question={})) == [{"error": 1.0}]
    assert "cut off" in caplog.text


@pytest.mark.parametrize("line", [b"\xff{garbage", b"[" * 9000, b'{"error": ' + b"9" * 5000 + b"}"])
def test_damage_before_the_last_line_is_refused(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, question={})
    journal.append({"error": 1.0})
    path.write_bytes(path.read_bytes().replace(b'{"error":1.0}', line) + b'{"error":2.0}\n')
    with pytest.raises(JournalError, match=r"one JSON object a line; line 2 does not\. Restore"):
        Journal(path, question={})


def test_another_question_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, question={"seed": 1, "data": "a"})
    with pytest.raises(JournalError, match=r"another one: seed differ\. Use another output folder"):
        Journal(path, question={"seed": 2, "data": "a"})


def test_a_failed_write_leaves_the_lines_before_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, question={})
    journal.append({"error": 1.0})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            journal.append({"error": 2.0})
    journal.append({"error": 3.0})
    assert list(Journal(path, question={})) == [{"error": 1.0}, {"error": 3.0}]
