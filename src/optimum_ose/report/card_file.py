"""The model card on the disk: written anew as long as nobody has edited it."""

import hashlib
import logging
from pathlib import Path

from optimum_ose.artifact import OSEArtifact
from optimum_ose.serialization import write_atomic

_LOGGER = logging.getLogger(__name__)


def write_card(artifact: OSEArtifact, text: str) -> Path:
    """Write `README.md`, or `ose/card.md` where somebody has edited the one that is there.

    `ose/card.sha256` remembers what was written last. A card without it, of an earlier version, counts as edited unless
    it is the same text.

    Returns:
        The file that was written.
    """
    mark, other = artifact.path / "ose" / "card.sha256", artifact.path / "ose" / "card.md"
    if artifact.card.is_file() and not _is_ours(artifact.card, mark, text):
        write_atomic(other, text)
        _LOGGER.warning(
            "%s was edited and stays as it is; the new card is %s. To use the new one, remove README.md and run "
            "`optimum-cli ose report`",
            artifact.card,
            other,
        )
        return other
    write_atomic(artifact.card, text)
    write_atomic(mark, _digest(text.encode()) + "\n")
    other.unlink(missing_ok=True)
    return artifact.card


def _is_ours(card: Path, mark: Path, text: str) -> bool:
    """Whether the card is what was written last, or what is to be written."""
    content = card.read_bytes()
    known = mark.read_text(encoding="utf-8", errors="replace").strip() if mark.is_file() else None
    return content == text.encode() or _digest(content) == known


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
