"""What load balancers and Prometheus ask."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.metrics import CONTENT_TYPE
from optimum_ose.serving.replies import bytes_reply, json_reply
from optimum_ose.serving.service import Service


async def health(_service: Service, _request: Request) -> Response:
    """The process lives."""
    return json_reply({"status": "ok", "live": True})


async def ready(service: Service, _request: Request) -> Response:
    """It takes requests; else 503."""
    state = "draining" if service.draining else await service.readiness.state()
    status = HTTPStatus.OK if state == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
    return json_reply({"status": state, "ready": state == "ready"}, status=status)


async def metrics(service: Service, _request: Request) -> Response:
    """Counters."""
    return bytes_reply(await service.metrics_text.get(), CONTENT_TYPE)


ENDPOINTS = (
    Endpoint(path="/health", method="GET", summary="Whether the process lives.", respond=health),
    Endpoint(path="/ready", method="GET", summary="Whether the server takes requests: 200, else 503.", respond=ready),
    Endpoint(path="/metrics", method="GET", summary="Metrics in Prometheus' format.", respond=metrics),
)
"""In the order of `/openapi.json`."""
