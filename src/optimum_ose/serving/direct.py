"""Requests for tasks that answer inputs by themselves: questions, continuations, images, sounds."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

from optimum_ose.serving.checked_inputs import check_length, check_number
from optimum_ose.serving.fields import Body, Field
from optimum_ose.serving.kinds import Anything, Whole
from optimum_ose.serving.multipart import files_of, is_multipart
from optimum_ose.serving.protocol import ServerLimits, bad_request, parse_json
from optimum_ose.serving.served_task import DirectTask

MAX_NEW_TOKENS = 256
"""That a client may ask for."""
_MOST_ANSWERS = 256
_MOST_BEAMS = 16
_INPUT = {
    "anyOf": [{"type": ["string", "object"]}, {"type": "array", "items": {"type": ["string", "object"]}}],
}
DIRECT = Body(
    fields={
        "inputs": Field(
            kind=Anything(_INPUT),
            meaning="a text, a question with its context, a file in base64, or a list of these",
            is_required=True,
        ),
        "parameters": Field(
            kind=Body(
                fields={
                    "top_k": Field(kind=Whole(most=_MOST_ANSWERS), meaning="answers to each input"),
                    "max_new_tokens": Field(kind=Whole(most=MAX_NEW_TOKENS), meaning="tokens to write at most"),
                    "num_beams": Field(kind=Whole(most=_MOST_BEAMS), meaning="beginnings that are kept"),
                }
            ),
            meaning="how to answer",
        ),
    },
    example={"inputs": "a text", "parameters": {"top_k": 1}},
    allows_others=True,
)
"""Of tasks that are not batched."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRequest:
    """A parsed request."""

    inputs: Any
    """As the task answers them."""
    parameters: dict[str, Any]
    """Keyword arguments of `OnnxPipeline`."""


def parse_direct(body: bytes, task: DirectTask, limits: ServerLimits, *, content_type: str = "") -> DirectRequest:
    """A body `{"inputs": ..., "parameters": {"top_k": ..., "max_new_tokens": ...}}`, or of tasks of images and sounds
    the content of one file, or a form with files.

    Args:
        body: as it came.
        task: what the model does.
        limits: for the inputs.
        content_type: the header of the request; empty: it has none.

    Raises:
        RequestError: 400 on malformed JSON or wrong types, 422 on too many or too long inputs.
    """
    if task.takes_files and is_multipart(content_type):
        files = files_of(body, content_type, limits)
        return DirectRequest(inputs=files[0] if len(files) == 1 else files, parameters={})
    if task.takes_files and body.lstrip()[:1] != b"{":
        return DirectRequest(inputs=body, parameters={})
    values = DIRECT.values(parse_json(body), limits)
    parameters = {name: value for name, value in (values["parameters"] or {}).items() if value is not None}
    inputs = values["inputs"]
    if isinstance(inputs, list):
        check_number(len(inputs), limits, what="inputs")
    if not task.takes_files:
        check_length(max(map(len, _texts(inputs)), default=0), limits)
        return DirectRequest(inputs=inputs, parameters=parameters)
    try:
        return DirectRequest(inputs=_files(inputs), parameters=parameters)
    except (binascii.Error, ValueError) as error:
        raise bad_request("an input is not the content of a file in base64") from error


def _texts(inputs: Any) -> Iterator[str]:
    """All texts of an input, however nested."""
    pending = [inputs]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            pending += item.values()


def _files(inputs: Any) -> Any:
    """Texts in base64 as bytes: a text of a client is never a path of this machine."""
    if isinstance(inputs, list):
        return [_file(item) for item in inputs]
    return _file(inputs)


def _file(item: Any) -> bytes:
    if not isinstance(item, str):
        raise ValueError("no text")
    head, comma, content = item.partition(",")
    is_data_url = comma and head.startswith("data:") and head.endswith(";base64")
    return base64.b64decode(content if is_data_url else item, validate=True)
