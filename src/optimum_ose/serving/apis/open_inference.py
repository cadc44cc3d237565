"""The endpoints of the Open Inference Protocol; bodies are read and written by `serving.open_inference`."""

from dataclasses import replace
from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.apis.probes import health, ready
from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.fields import Body, Field
from optimum_ose.serving.kinds import Anything
from optimum_ose.serving.open_inference import HEADER_LENGTH, VERSION, model_metadata, parse_infer, render_infer
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError
from optimum_ose.serving.replies import JSON, bytes_reply, json_reply
from optimum_ose.serving.service import Service

_TENSORS = Anything({"type": "array", "items": {"type": "object"}})
_INFER = Body(
    fields={
        "inputs": Field(kind=_TENSORS, meaning="the BYTES tensor text, and perhaps text_pair", is_required=True),
        "outputs": Field(kind=_TENSORS, meaning="tensors to send; by default all"),
    },
    allows_others=True,
)
"""For `/openapi.json`: requests are checked by `parse_infer`."""


async def _server(_service: Service, _request: Request) -> Response:
    return json_reply({"name": "optimum-ose", "version": VERSION, "extensions": ["binary_tensor_data"]})


async def _model(service: Service, request: Request) -> Response:
    _check_model(service, request)
    return json_reply(model_metadata(service.name, service.pipeline))


async def _model_ready(service: Service, request: Request) -> Response:
    _check_model(service, request)
    return await ready(service, request)


async def _infer(service: Service, request: Request) -> Response:
    _check_model(service, request)
    pipeline = service.pipeline
    async with service.body(request) as body:
        service.check_room(body)
        header_length = request.headers.get(HEADER_LENGTH)
        parsed = parse_infer(body, header_length, outputs=pipeline.row_task.outputs, limits=service.limits)
        rows = await service.rows(parsed.pairs)
        content, json_size = await service.computed(
            partial(render_infer, parsed, rows, name=service.name, pipeline=pipeline)
        )
    if json_size is None:
        return bytes_reply(content, JSON)
    return bytes_reply(content, "application/octet-stream", headers={HEADER_LENGTH: str(json_size)})


def _check_model(service: Service, request: Request) -> None:
    if request.path_params["model"] != service.name:
        raise RequestError(
            HTTPStatus.NOT_FOUND,
            expected=f"The model of this server is {service.name}",
            actual="another one was asked for",
            remedy=f"Ask for /v2/models/{service.name}",
        )


def _body(pipeline: OnnxPipeline) -> Body:
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [pipeline.trial_text]}
    return replace(_INFER, example={"inputs": [text]})


def _has_tensors(pipeline: OnnxPipeline) -> bool:
    return pipeline.direct_task is None


def _of_model(path: str) -> tuple[Endpoint, ...]:
    needs = "a model that answers each text by one run"
    return (
        Endpoint(
            path=path,
            method="GET",
            summary="The model's tensors.",
            respond=_model,
            needs=needs,
            fits=_has_tensors,
        ),
        Endpoint(
            path=f"{path}/ready",
            method="GET",
            summary="Whether the model takes requests: 200, else 503.",
            respond=_model_ready,
            needs=needs,
            fits=_has_tensors,
        ),
        Endpoint(
            path=f"{path}/infer",
            summary="Answers of texts as tensors, also in binary.",
            respond=_infer,
            body=_body,
            needs=needs,
            fits=_has_tensors,
        ),
    )


ENDPOINTS = (
    Endpoint(path="/v2", method="GET", summary="The server's name and version.", respond=_server),
    Endpoint(path="/v2/health/live", method="GET", summary="Whether the process lives.", respond=health),
    Endpoint(path="/v2/health/ready", method="GET", summary="Whether the server takes requests.", respond=ready),
    *_of_model("/v2/models/{model}"),
    *_of_model(f"/v2/models/{{model}}/versions/{VERSION}"),
)
"""In the order of `/openapi.json`."""
