"""Files in a form (`multipart/form-data`, RFC 7578), of a body that is in memory and bounded already.

Forms do not nest here: a body is cut at its boundary once, so that reading costs no more than its length.
"""

from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from http import HTTPStatus
from typing import final

from optimum_ose.serving.checked_inputs import check_number
from optimum_ose.serving.protocol import RequestError, ServerLimits

_FORM = "multipart/form-data"
_LONGEST_BOUNDARY = 70
_LONGEST_HEAD = 1024
"""Bytes of the headers of a part."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of a form."""

    name: str
    """Of the field."""
    file_name: str | None
    """As the client calls the file; None: the field is no file."""
    content: bytes
    """As it came."""


def is_multipart(content_type: str) -> bool:
    """Whether a body is a form that may hold files."""
    return content_type.partition(";")[0].strip().lower() == _FORM


def files_of(body: bytes, content_type: str, limits: ServerLimits) -> list[bytes]:
    """The files of a form, at least one.

    Raises:
        RequestError: as `parts_of`; 400 if a field is no file.
    """
    parts = parts_of(body, content_type, limits)
    if not all(part.file_name is not None for part in parts):
        raise _refusal("a field is no file")
    return [part.content for part in parts]


def parts_of(body: bytes, content_type: str, limits: ServerLimits) -> list[Part]:
    """The fields of a form, at least one.

    Raises:
        RequestError: 400 if it is malformed, 422 if it has more fields than a request may have texts.
    """
    boundary = _parameter(content_type[:_LONGEST_HEAD], "boundary")
    if boundary is None or not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise _refusal("the header Content-Type names no boundary of 1 to 70 characters")
    mark = b"\r\n--" + boundary.encode()
    pieces = (b"\r\n" + body).split(mark, limits.max_texts + 2)
    check_number(len(pieces) - 2, limits, what="files")
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise _refusal("it does not end with its boundary, or holds nothing")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, end, content = piece.lstrip(b" \t").removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not end or len(head) > _LONGEST_HEAD:
        raise _refusal("a part has no end of its headers, or more than 1,024 bytes of them")
    headers = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    disposition = headers.get("content-disposition", "")
    field = _parameter(disposition, "name")
    if not disposition.lower().startswith("form-data") or field is None:
        raise _refusal("a part is no named field of a form")
    return Part(name=field, file_name=_parameter(disposition, "filename"), content=content)


def _parameter(value: str, name: str) -> str | None:
    """A parameter of a header, such as `boundary`."""
    message = Message()
    message["content-type"] = value.replace("\r", " ").replace("\n", " ")
    found = message.get_param(name)
    return None if found is None else collapse_rfc2231_value(found)


def _refusal(actual: str) -> RequestError:
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        expected="A form must be multipart/form-data with one or more files",
        actual=actual,
        remedy="Send it with `curl -F file=@FILE`",
    )
