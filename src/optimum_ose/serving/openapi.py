"""The page of all endpoints, `/openapi.json`, written from the records that check their requests."""

from collections.abc import Sequence
from typing import Any

from optimum_ose import __version__
from optimum_ose.serving.crowd import OPEN_PATHS
from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.kinds import Schema
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.replies import JSON

_KEY = "key"
_FILE = {"type": "string", "format": "binary"}
_REFUSAL: Schema = {"description": "The request is refused: what must hold, what came, and what to do."}


def openapi(
    endpoints: Sequence[Endpoint], pipeline: OnnxPipeline, limits: ServerLimits, *, name: str, has_key: bool
) -> dict[str, Any]:
    """The document of OpenAPI 3.1 about the endpoints that fit a model.

    Args:
        endpoints: all of them.
        pipeline: the model.
        limits: of the server; they stand in the schemas.
        name: of the model.
        has_key: whether clients must send a key.
    """
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        if endpoint.fits(pipeline):
            operation = _operation(endpoint, pipeline, limits, has_key=has_key)
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"{name}: {pipeline.task}", "version": __version__},
        "paths": paths,
    }
    if has_key:
        document["components"] = {"securitySchemes": {_KEY: {"type": "http", "scheme": "bearer"}}}
    return document


def _operation(endpoint: Endpoint, pipeline: OnnxPipeline, limits: ServerLimits, *, has_key: bool) -> dict[str, Any]:
    answers: dict[str, Any] = {JSON: {"schema": dict(endpoint.answer)}}
    if endpoint.streams:
        answers["text/event-stream"] = {}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "responses": {"200": {"description": "The answer.", "content": answers}, "default": _REFUSAL},
    }
    content = _request(endpoint, pipeline, limits)
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    variables = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    if variables:
        operation["parameters"] = [
            {"name": part, "in": "path", "required": True, "schema": {"type": "string"}} for part in variables
        ]
    if has_key and endpoint.path not in OPEN_PATHS:
        operation["security"] = [{_KEY: []}]
    return operation


def _request(endpoint: Endpoint, pipeline: OnnxPipeline, limits: ServerLimits) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.body is not None:
        body = endpoint.body(pipeline)
        other = endpoint.other_body(pipeline)
        shape = body.schema(limits)
        content[JSON] = {"schema": shape if other is None else {"anyOf": [shape, other.schema(limits)]}}
        if body.example:
            content[JSON]["example"] = dict(body.example)
    if endpoint.form is not None:
        shape = endpoint.form.schema(limits)
        properties = {"file": _FILE, **shape["properties"]}
        content["multipart/form-data"] = {"schema": {**shape, "properties": properties, "required": ["file"]}}
    if endpoint.takes_files(pipeline):
        several = {"type": "object", "additionalProperties": _FILE, "maxProperties": limits.max_texts}
        content |= {"application/octet-stream": {"schema": _FILE}, "multipart/form-data": {"schema": several}}
    return content
