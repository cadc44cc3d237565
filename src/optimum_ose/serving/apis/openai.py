"""The endpoints of OpenAI's API that a small model can answer: embeddings, models, transcriptions.

Source: OpenAI's API reference, as the request and response types of the package openai hold it.
"""

import base64
from functools import partial
from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.fields import Body, Field
from optimum_ose.serving.kinds import Choice, Only, Text, Texts, Whole
from optimum_ose.serving.multipart import parts_of
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError
from optimum_ose.serving.replies import bytes_reply, json_reply
from optimum_ose.serving.service import Service
from optimum_ose.serving.vectors import NEEDS, gives_vectors, num_tokens, vectors

MODEL = Field(kind=Text(), meaning="any name: the folder's model answers, and the answer names it")
USER = Field(kind=Text(), meaning="changes nothing")
EMBEDDINGS = Body(
    fields={
        "input": Field(kind=Texts(), meaning="a text or a list of texts; no token ids", is_required=True),
        "model": MODEL,
        "encoding_format": Field(
            kind=Choice(("float", "base64")),
            meaning="numbers, or their bytes: little-endian float32 in base64",
            default="float",
        ),
        "dimensions": Field(kind=Whole(), meaning="numbers of each vector that are kept, the first ones"),
        "user": USER,
    },
    example={"model": "any", "input": ["a text", "another text"]},
)
"""Of `/v1/embeddings`."""
TRANSCRIPTION = Body(
    fields={
        "model": MODEL,
        "response_format": Field(kind=Choice(("json", "text")), meaning="form of the answer", default="json"),
        "temperature": Field(
            kind=Only(("0", "0.0"), "the most probable character is taken each time"), meaning="not supported"
        ),
        "language": Field(kind=Only(because="the model knows its language alone"), meaning="not supported"),
        "prompt": Field(kind=Only(because="the model reads none"), meaning="not supported"),
        "stream": Field(kind=Only(("false", "False"), "the text comes as a whole"), meaning="not supported"),
    },
    is_form=True,
)
"""Of `/v1/audio/transcriptions`: a form, beside its file."""


async def _embeddings(service: Service, request: Request) -> Response:
    async with service.body(request) as body:
        service.check_room(body)
        asked = EMBEDDINGS.parse(body, service.limits)
        texts = asked["input"]
        found = await vectors(service, texts, dimensions=asked["dimensions"])
        used = await num_tokens(service, texts)
    values = [_base64(row) for row in found] if asked["encoding_format"] == "base64" else found.tolist()
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(values)]
    usage = {"prompt_tokens": used, "total_tokens": used}
    return json_reply({"object": "list", "data": data, "model": service.name, "usage": usage})


def _base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


async def _models(service: Service, _request: Request) -> Response:
    return json_reply({"object": "list", "data": [_described(service)]})


async def _model(service: Service, request: Request) -> Response:
    if request.path_params["model"] != service.name:
        raise RequestError(
            HTTPStatus.NOT_FOUND,
            expected=f"The model of this server is {service.name}",
            actual="another one was asked for",
            remedy="GET /v1/models",
        )
    return json_reply(_described(service))


def _described(service: Service) -> dict[str, Any]:
    return {"id": service.name, "object": "model", "created": service.since, "owned_by": "optimum-ose"}


async def _transcriptions(service: Service, request: Request) -> Response:
    async with service.body(request) as body:
        parts = parts_of(body, request.headers.get("content-type", ""), service.limits)
        files = [part.content for part in parts if part.name == "file" and part.file_name is not None]
        texts = {part.name: part.content.decode("utf-8", "replace") for part in parts if part.name != "file"}
        if len(files) != 1:
            raise TRANSCRIPTION.refusal(f"the form has {len(files)} files named file; it must have one")
        asked = TRANSCRIPTION.values(texts, service.limits)
        answer = await service.direct(partial(service.pipeline, files[0]))
    if asked["response_format"] == "text":
        return bytes_reply(f"{answer['text']}\n".encode(), "text/plain; charset=utf-8")
    return json_reply({"text": answer["text"]})


def _transcribes(pipeline: OnnxPipeline) -> bool:
    return pipeline.gives == "transcript"


_MODEL_SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
    },
}
_VECTOR = {
    "type": "object",
    "properties": {
        "object": {"const": "embedding"},
        "index": {"type": "integer"},
        "embedding": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},
    },
}
ENDPOINTS = (
    Endpoint(
        path="/v1/embeddings",
        summary="One vector of length 1 for each text, as OpenAI gives it.",
        respond=_embeddings,
        body=lambda _pipeline: EMBEDDINGS,
        answer={
            "type": "object",
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": _VECTOR},
                "model": {"type": "string"},
                "usage": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        },
        needs=NEEDS,
        fits=gives_vectors,
    ),
    Endpoint(
        path="/v1/audio/transcriptions",
        summary="The text of a sound, sent as the file of a form.",
        respond=_transcriptions,
        form=TRANSCRIPTION,
        answer={"type": "object", "properties": {"text": {"type": "string"}}},
        needs="a model that writes what is said (task automatic-speech-recognition)",
        fits=_transcribes,
    ),
    Endpoint(
        path="/v1/models",
        method="GET",
        summary="The one model of the server.",
        respond=_models,
        answer={"type": "object", "properties": {"data": {"type": "array", "items": _MODEL_SCHEMA}}},
    ),
    Endpoint(
        path="/v1/models/{model}", method="GET", summary="The same by its name.", respond=_model, answer=_MODEL_SCHEMA
    ),
)
"""In the order of `/openapi.json`."""
