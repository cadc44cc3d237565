"""The endpoints of Text Generation Inference (TGI): `/generate` and `/generate_stream`.

Source: TGI's request and response types, as huggingface_hub's `TextGenerationInput` and its outputs hold them.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.continuation import NEEDS, Continuation, continuations, pieces, writes
from optimum_ose.serving.direct import MAX_NEW_TOKENS
from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.fields import Body, Field
from optimum_ose.serving.kinds import Flag, Only, Text, Texts, Whole
from optimum_ose.serving.protocol import parse_json
from optimum_ose.serving.replies import event, json_reply, streamed
from optimum_ose.serving.served_task import Piece, WriteOptions
from optimum_ose.serving.service import Service

_REASONS = {"end": "eos_token", "stop": "stop_sequence", "length": "length"}
_GREEDY = "the most probable token is taken each time"
_PATH = "/generate"
_OTHERS = {
    "adapter_id": Only(),
    "best_of": Only((1,), _GREEDY),
    "decoder_input_details": Only((False,)),
    "do_sample": Only((False,), _GREEDY),
    "frequency_penalty": Only((0, 0.0), _GREEDY),
    "grammar": Only(),
    "repetition_penalty": Only((1, 1.0), _GREEDY),
    "temperature": Only((), _GREEDY),
    "top_k": Only((), _GREEDY),
    "top_n_tokens": Only((0,)),
    "top_p": Only((), _GREEDY),
    "truncate": Only(),
    "typical_p": Only((), _GREEDY),
    "watermark": Only((False,)),
}
_PARAMETERS = Body(
    fields={
        "max_new_tokens": Field(kind=Whole(most=MAX_NEW_TOKENS), meaning="tokens at most", default=20),
        "stop": Field(
            kind=Texts(most=4, longest=256, takes_one=False, may_be_empty=False), meaning="texts after which it is over"
        ),
        "details": Field(kind=Flag(), meaning="whether tokens and the reason of the end are told"),
        "return_full_text": Field(kind=Flag(), meaning="whether the answer begins with the text"),
        "seed": Field(kind=Whole(least=0), meaning="changes nothing: nothing is drawn"),
        **{name: Field(kind=kind, meaning="not supported") for name, kind in _OTHERS.items()},
    }
)
GENERATE = Body(
    fields={
        "inputs": Field(kind=Text(), meaning="the text to go on from", is_required=True),
        "parameters": Field(kind=_PARAMETERS, meaning="how to go on"),
        "stream": Field(kind=Flag(), meaning="whether the answer comes token by token", default=False),
    },
    example={"inputs": "a text", "parameters": {"max_new_tokens": 8}},
)
"""Of all endpoints here."""


async def _generate(service: Service, request: Request) -> Response:
    return json_reply(await _whole(service, await _asked(service, request), full_text=False))


async def _generate_stream(service: Service, request: Request) -> Response:
    return await _stream(service, await _asked(service, request), full_text=False)


async def root(service: Service, content: Any) -> Response:
    """What TGI answers at `/`: a stream, or a list of one answer that begins with the text that came."""
    asked = GENERATE.values(content, service.limits)
    if asked["stream"]:
        return await _stream(service, asked, full_text=True)
    return json_reply([await _whole(service, asked, full_text=True)])


async def _asked(service: Service, request: Request) -> dict[str, Any]:
    async with service.body(request) as body:
        return GENERATE.values(parse_json(body, GENERATE.refusal), service.limits)


def _parameters(asked: dict[str, Any], service: Service) -> dict[str, Any]:
    given: dict[str, Any] | None = asked["parameters"]
    return given or _PARAMETERS.values({}, service.limits)


def _options(parameters: dict[str, Any]) -> WriteOptions:
    return WriteOptions(
        max_new_tokens=parameters["max_new_tokens"], stops=tuple(parameters["stop"] or ()), keeps_stop=True
    )


async def _whole(service: Service, asked: dict[str, Any], *, full_text: bool) -> dict[str, Any]:
    parameters = _parameters(asked, service)
    (found,) = await continuations(service, [asked["inputs"]], _options(parameters))
    answer: dict[str, Any] = {"generated_text": _text(asked, parameters, found.text, full_text=full_text)}
    if parameters["details"]:
        answer["details"] = {
            **_reason(found.pieces),
            "prefill": [],
            "seed": parameters["seed"],
            "tokens": [_token(piece) for piece in found.pieces],
        }
    return answer


async def _stream(service: Service, asked: dict[str, Any], *, full_text: bool) -> Response:
    parameters = _parameters(asked, service)
    found = Continuation()
    whole = partial(_text, asked, parameters, full_text=full_text)

    def events(item: tuple[int, Piece]) -> Iterator[bytes]:
        piece = item[1]
        found.pieces.append(piece)
        is_last = piece.finish is not None
        yield event(
            {
                "index": len(found.pieces),
                "token": _token(piece),
                "generated_text": whole(found.text) if is_last else None,
                "details": {**_reason(found.pieces), "input_length": piece.num_read, "seed": None} if is_last else None,
            }
        )

    written = pieces(service, [asked["inputs"]], _options(parameters))
    return await streamed(written, events, path=_PATH)


def _text(asked: dict[str, Any], parameters: dict[str, Any], text: str, *, full_text: bool) -> str:
    wanted = parameters["return_full_text"]
    return asked["inputs"] + text if (full_text if wanted is None else wanted) else text


def _token(piece: Piece) -> dict[str, Any]:
    return {
        "id": piece.token_id,
        "text": piece.text,
        "logprob": piece.log_probability,
        "special": piece.is_special,
    }


def _reason(written: list[Piece]) -> dict[str, Any]:
    return {"finish_reason": _REASONS[str(written[-1].finish)], "generated_tokens": len(written)}


_ANSWER = {"type": "object", "properties": {"generated_text": {"type": "string"}, "details": {"type": "object"}}}
ENDPOINTS = (
    Endpoint(
        path=_PATH,
        summary="The continuation of a text, as Text Generation Inference gives it.",
        respond=_generate,
        body=lambda _pipeline: GENERATE,
        answer=_ANSWER,
        needs=NEEDS,
        fits=writes,
    ),
    Endpoint(
        path="/generate_stream",
        summary="The same, token by token, as server-sent events.",
        respond=_generate_stream,
        body=lambda _pipeline: GENERATE,
        streams=True,
        needs=NEEDS,
        fits=writes,
    ),
)
"""In the order of `/openapi.json`."""
