"""OpenAI's `/v1/completions`: continuations of texts, whole or as server-sent events.

Source: OpenAI's API reference, as the request and response types of the package openai hold it.
"""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.apis.openai import MODEL, USER
from optimum_ose.serving.continuation import NEEDS, Continuation, continuations, pieces, writes
from optimum_ose.serving.direct import MAX_NEW_TOKENS
from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.fields import Body, Field
from optimum_ose.serving.kinds import Flag, Only, Texts, Whole
from optimum_ose.serving.replies import event, json_reply, streamed
from optimum_ose.serving.served_task import Piece, WriteOptions
from optimum_ose.serving.service import Service

_PATH = "/v1/completions"
_LAST = b"data: [DONE]\n\n"
_REASONS = {"end": "stop", "stop": "stop", "length": "length", None: None}
_GREEDY = "the most probable token is taken each time"
_OTHERS = {
    "best_of": Only((1,), _GREEDY),
    "echo": Only((False,)),
    "frequency_penalty": Only((0, 0.0), _GREEDY),
    "logit_bias": Only(({},), _GREEDY),
    "logprobs": Only(),
    "n": Only((1,), _GREEDY),
    "presence_penalty": Only((0, 0.0), _GREEDY),
    "suffix": Only(),
    "temperature": Only((0, 0.0), _GREEDY),
    "top_p": Only((1, 1.0), _GREEDY),
}
COMPLETIONS = Body(
    fields={
        "model": MODEL,
        "prompt": Field(kind=Texts(), meaning="a text or a list of texts; no token ids", is_required=True),
        "max_tokens": Field(kind=Whole(most=MAX_NEW_TOKENS), meaning="tokens at most", default=16),
        "stop": Field(kind=Texts(most=4, longest=256, may_be_empty=False), meaning="texts before which it is over"),
        "stream": Field(kind=Flag(), meaning="whether the answer comes token by token", default=False),
        "stream_options": Field(
            kind=Body(fields={"include_usage": Field(kind=Flag(), meaning="whether usage comes last", default=False)}),
            meaning="of a stream",
        ),
        "seed": Field(kind=Whole(least=0), meaning="changes nothing: nothing is drawn"),
        "user": USER,
        **{name: Field(kind=kind, meaning="not supported") for name, kind in _OTHERS.items()},
    },
    example={"model": "any", "prompt": "a text", "max_tokens": 8},
)
"""Of this endpoint."""


async def _completions(service: Service, request: Request) -> Response:
    async with service.body(request) as body:
        service.check_room(body)
        asked = COMPLETIONS.parse(body, service.limits)
    options = WriteOptions(max_new_tokens=asked["max_tokens"], stops=tuple(asked["stop"] or ()))
    about = {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": service.name,
    }
    if asked["stream"]:
        return await _stream(service, asked, options, about)
    found = await continuations(service, asked["prompt"], options)
    choices = [_choice(index, item.text, item.pieces[-1]) for index, item in enumerate(found)]
    return json_reply({**about, "choices": choices, "usage": _usage(found)})


async def _stream(service: Service, asked: dict[str, Any], options: WriteOptions, about: dict[str, Any]) -> Response:
    tells_usage = bool(asked["stream_options"] and asked["stream_options"]["include_usage"])
    usage = {"usage": None} if tells_usage else {}
    found = [Continuation() for _ in asked["prompt"]]

    def events(item: tuple[int, Piece]) -> Iterator[bytes]:
        index, piece = item
        found[index].pieces.append(piece)
        yield event({**about, "choices": [_choice(index, piece.text, piece)], **usage})
        if tells_usage and index == len(found) - 1 and piece.finish is not None:
            yield event({**about, "choices": [], "usage": _usage(found)})

    return await streamed(pieces(service, asked["prompt"], options), events, path=_PATH, last=_LAST)


def _choice(index: int, text: str, last: Piece) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": _REASONS[last.finish]}


def _usage(found: list[Continuation]) -> dict[str, int]:
    read = sum(item.pieces[-1].num_read for item in found)
    written = sum(len(item.pieces) for item in found)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


_CHOICE = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "text": {"type": "string"},
        "logprobs": {"type": "null"},
        "finish_reason": {"enum": ["stop", "length", None]},
    },
}
ENDPOINTS = (
    Endpoint(
        path=_PATH,
        summary="Continuations of texts, as OpenAI gives them.",
        respond=_completions,
        body=lambda _pipeline: COMPLETIONS,
        answer={
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "object": {"const": "text_completion"},
                "created": {"type": "integer"},
                "model": {"type": "string"},
                "choices": {"type": "array", "items": _CHOICE},
                "usage": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        },
        streams=True,
        needs=NEEDS,
        fits=writes,
    ),
)
"""In the order of `/openapi.json`."""
