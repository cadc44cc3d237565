"""Turns the bytes of a text file into text, and text into lines, without changing what it says."""

import codecs
import logging
from collections.abc import Mapping
from pathlib import Path

from optimum_ose.exceptions import InvalidDataError

_LOGGER = logging.getLogger(__name__)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_BYTE_ORDER_MARKS: Mapping[bytes, str] = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""First bytes -> encoding; those of UTF-32 begin as those of UTF-16 and come first."""
_OTHER_KINDS: Mapping[bytes, str] = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
}
"""First bytes -> what a file is, although its name says that it is text."""


def require_content(path: Path) -> None:
    """Pass if a file holds data itself, not a reference to data.

    Raises:
        InvalidDataError: if it is empty, or a pointer of Git LFS.
    """
    with path.open("rb") as stream:
        start = stream.read(len(_LFS_POINTER))
    if not start:
        raise InvalidDataError(f"{path} must hold at least one row", "it is empty", "Give a file with data")
    if start == _LFS_POINTER:
        raise InvalidDataError(
            f"{path} must hold data", "it is a pointer of Git LFS to a file that was not downloaded", "Run git lfs pull"
        )


def read_text(path: Path) -> str:
    """The text of a file, line ends included.

    It is UTF-8, or UTF-16 or UTF-32 with a byte order mark; if it is none of these, it is read as Windows-1252 or
    Latin-1, which is logged.

    Raises:
        ValueError: if it is no text, or some of its lines are UTF-8 and others are not.
        OSError: if it cannot be read.
    """
    raw = path.read_bytes()
    for start, what in _OTHER_KINDS.items():
        if raw.startswith(start):
            raise ValueError(f"it is {what}, not text; unpack or convert it")
    text = _decoded(raw, path)
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise ValueError(f"line {line} holds a NUL character: the file is damaged, or UTF-16 without a byte order mark")
    return text


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends. Only LF, CR LF, or CR in a text without LF, end a line: other separators
    that Unicode knows, such as U+2028 and U+0085, belong to the line.
    """
    if "\n" not in text:
        return text.removesuffix("\r").split("\r")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _decoded(raw: bytes, path: Path) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if raw.startswith(mark)), None)
    if encoding is not None:
        _LOGGER.warning("%s is read as %s, as its byte order mark says", path, encoding.upper())
        return raw.decode(encoding)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _decoded_otherwise(raw, path)


def _decoded_otherwise(raw: bytes, path: Path) -> str:
    lines = [line for line in enumerate(raw.split(b"\n"), start=1) if not line[1].isascii()]
    wrong = [number for number, line in lines if not _is_utf8(line)]
    if len(wrong) < len(lines):
        raise ValueError(
            f"line {wrong[0]} is not UTF-8, but {len(lines) - len(wrong):,} other lines are: it mixes encodings"
        )
    text, name = _as_western(raw)
    _LOGGER.warning("%s is not UTF-8 (first in line %d); read as %s", path, wrong[0], name)
    return text


def _as_western(raw: bytes) -> tuple[str, str]:
    """Windows-1252 where bytes are used that only it has characters for."""
    if any(byte in raw for byte in range(0x80, 0xA0)):
        try:
            return raw.decode("cp1252"), "Windows-1252"
        except UnicodeDecodeError:  # five bytes mean nothing in it
            pass
    return raw.decode("latin-1"), "Latin-1"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
