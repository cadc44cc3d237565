"""The append-only evaluation journal: one fsync-ed JSON line per finished evaluation, kept for one question only."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

from optimum_ose.exceptions import JournalError, OtherQuestionError
from optimum_ose.records import journal_fault
from optimum_ose.serialization import canonical_line, write_atomic
from optimum_ose.wording import listed

_LOGGER = logging.getLogger(__name__)


@final
class Journal:
    """Finished evaluations of one question, in the order in which they ended.

    The first line of the file holds the question; every later line is an entry. A last line that a kill cut off is
    dropped with a notice;
    damage anywhere else, or another question, is refused.

    Args:
        path: the file; made if it is missing.
        question: what is being asked: hashes of model and data, and the settings that change an answer.

    Raises:
        OtherQuestionError: if the file answers another question.
        JournalError: if it is damaged before its last line, or no file.
        OSError: if the file cannot be written.
    """

    def __init__(self, path: Path, *, question: Mapping[str, Any]) -> None:
        self.path = path
        header = canonical_line({"question": question})
        if path.is_dir():
            raise JournalError(f"The journal {path} must be a file", "it is a folder", "Give the path of a file")
        if not path.exists():
            write_atomic(path, header + "\n")
        self._entries = self._read(header)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._entries)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add one entry; when this returns, the entry is on the disk.

        Raises:
            OSError: if the disk is full; the entries before it stay whole.
        """
        line = canonical_line(entry)
        with self.path.open("ab") as stream:
            end = stream.tell()
            try:
                stream.write(line.encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                os.truncate(self.path, end)
                raise
        self._entries.append(json.loads(line))

    def _read(self, header: str) -> list[dict[str, Any]]:
        lines = self.path.read_bytes().split(b"\n")
        tail = lines.pop()
        values = [self._parse(line, number) for number, line in enumerate(lines, start=1)]
        if tail:
            _LOGGER.warning("%s: the last line was cut off and is dropped; %d entries kept", self.path, len(values) - 1)
            os.truncate(self.path, sum(len(line) + 1 for line in lines))
        if not values:
            raise self._damaged(1)
        question = values[0].get("question")
        if not isinstance(question, dict):
            raise self._damaged(1, "it does not hold the question of a search")
        if canonical_line(values[0]) != header:
            self._refuse(question, json.loads(header)["question"])
        for number, entry in enumerate(values[1:], start=2):
            if fault := journal_fault(entry):
                raise self._damaged(number, fault)
        return values[1:]

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged(number) from error
        if not isinstance(value, dict):
            raise self._damaged(number)
        return value

    def _damaged(self, number: int, fault: str | None = None) -> JournalError:
        return JournalError(
            f"{self.path} must hold one JSON object a line",
            f"line {number} does not" if fault is None else f"line {number} is damaged: {fault}",
            "Restore the file from a copy, or remove it to begin the search anew",
        )

    def _refuse(self, found: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        raise OtherQuestionError(
            f"{self.path} must answer the question that is asked now",
            f"it answers another one: {differences(found, asked)}",
            "Use another output folder, or repeat the arguments of the first run",
        )


def differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Which parts of two questions differ, and in nested settings which."""
    differing = sorted(name for name in found.keys() | asked.keys() if found.get(name) != asked.get(name))
    nested = [
        f"{name}.{inner}"
        for name in differing
        if isinstance(one := found.get(name), Mapping) and isinstance(other := asked.get(name), Mapping)
        for inner in sorted(one.keys() | other.keys())
        if one.get(inner) != other.get(inner)
    ]
    return f"{listed(differing) or 'format'} differ" + (f" ({listed(nested)})" if nested else "")
