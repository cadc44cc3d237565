"""All endpoints of the server, and what routes requests to those that fit a model."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from optimum_ose.serving.apis import (
    completions,
    embeddings_inference,
    generation_inference,
    hub,
    open_inference,
    openai,
    probes,
)
from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.openapi import openapi
from optimum_ose.serving.replies import json_reply
from optimum_ose.serving.service import Service

_MODULES = (hub, openai, completions, embeddings_inference, generation_inference, open_inference, probes)
ENDPOINTS: tuple[Endpoint, ...] = tuple(endpoint for module in _MODULES for endpoint in module.ENDPOINTS)
"""In the order of `/openapi.json`."""
Reply = Callable[[Request], Awaitable[Response]]


def routes(service: Service, *, has_key: bool) -> list[Route]:
    """A route for each endpoint; those that do not fit the model refuse with what it serves.

    Args:
        service: whose model answers.
        has_key: whether clients must send a key.
    """
    document = openapi(ENDPOINTS, service.pipeline, service.limits, name=service.name, has_key=has_key)

    async def page(_request: Request) -> Response:
        return json_reply(document)

    found = [Route(endpoint.path, _reply(endpoint, service), methods=[endpoint.method]) for endpoint in ENDPOINTS]
    return [*found, Route("/openapi.json", page)]


def known(service: Service) -> str:
    """The requests that a server answers, for messages."""
    asked = [f"{item.method} {item.path}" for item in ENDPOINTS if item.fits(service.pipeline)]
    return f"{', '.join(asked)} or GET /openapi.json"


def _reply(endpoint: Endpoint, service: Service) -> Reply:
    respond = endpoint.for_model(service.pipeline)

    async def reply(request: Request) -> Response:
        return await respond(service, request)

    return reply
