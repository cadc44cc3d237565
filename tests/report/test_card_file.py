"""A card that somebody edited stays; one that we wrote is written anew."""

import logging
from pathlib import Path

import pytest

from optimum_ose.artifact import OSEArtifact
from optimum_ose.exceptions import OutputFolderError
from optimum_ose.report.card_file import write_card
from optimum_ose.report.older_records import reading_records


def test_a_card_of_ours_is_written_anew(tmp_path: Path) -> None:
    artifact = OSEArtifact(tmp_path)
    for text in ("# first\n", "# second\n"):
        assert write_card(artifact, text) == artifact.card
        assert artifact.card.read_text() == text


@pytest.mark.parametrize("content", ["# mine\n", "", "caf\u00e9\n"])
def test_an_edited_card_stays_and_the_new_one_lies_beside_it(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = OSEArtifact(tmp_path)
    write_card(artifact, "# ours\n")
    artifact.card.write_text(content, encoding="latin-1")
    before = artifact.card.read_bytes()
    with caplog.at_level(logging.WARNING):
        other = write_card(artifact, "# new\n")
    assert artifact.card.read_bytes() == before
    assert (other, other.read_text()) == (tmp_path / "ose" / "card.md", "# new\n")
    assert "was edited and stays as it is" in caplog.text
    artifact.card.unlink()
    assert write_card(artifact, "# new\n") == artifact.card
    assert not other.exists()


def test_a_card_of_a_version_that_kept_no_digest_counts_as_edited_unless_it_is_the_same(tmp_path: Path) -> None:
    artifact = OSEArtifact(tmp_path)
    artifact.card.write_text("# old\n")
    assert write_card(artifact, "# new\n") != artifact.card
    assert write_card(artifact, "# old\n") == artifact.card
    assert write_card(artifact, "# new\n") == artifact.card


@pytest.mark.parametrize("fault", [KeyError("p50_ms"), TypeError("no"), ValueError("\x1b[31m" + "x" * 999)])
def test_records_that_hold_other_values_are_one_short_message(fault: Exception, tmp_path: Path) -> None:
    expected = pytest.raises(OutputFolderError, match="a value is missing or of another kind")
    with expected as caught, reading_records(tmp_path):
        raise fault
    assert len(str(caught.value)) < 700
    assert "\x1b" not in str(caught.value)


def test_what_else_goes_wrong_is_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(OutputFolderError, match="^a; b"), reading_records(tmp_path):
        raise OutputFolderError("a", "b", "c")
    with pytest.raises(MemoryError), reading_records(tmp_path):
        raise MemoryError
