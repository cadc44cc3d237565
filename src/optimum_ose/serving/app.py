"""The ASGI app around an `OnnxPipeline`: its endpoints, what refuses requests, and what stands before them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from optimum_ose.serving.endpoints import known, routes
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.guard import guarded
from optimum_ose.serving.metrics import MeasuredApp
from optimum_ose.serving.open_inference import check_name
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError, ServerLimits
from optimum_ose.serving.replies import json_reply, refusal_reply
from optimum_ose.serving.service import Service

_LOGGER = logging.getLogger(__name__)


@final
class PredictionApp:
    """An ASGI app for one model. Any ASGI server may run it; `create_server` bounds slow clients as well."""

    def __init__(
        self,
        pipeline: OnnxPipeline,
        *,
        name: str,
        limits: ServerLimits | None = None,
        num_workers: int = 1,
        exposure: Exposure | None = None,
    ) -> None:
        """Serve a pipeline.

        Args:
            pipeline: the model.
            name: of the model, in the Open Inference Protocol and OpenAI's API.
            limits: sizes and times of requests.
            num_workers: batches computed at once.
            exposure: who may ask; its certificate is the affair of the ASGI server.

        Raises:
            InvalidConfigError: if the name cannot be a part of a path.
        """
        check_name(name)
        self.limits = limits or ServerLimits()
        self.exposure = exposure or Exposure()
        self._service = Service(pipeline, name=name, limits=self.limits, num_workers=num_workers)
        self._known = known(self._service)
        self._handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
            RequestError: self._refuse,
            HTTPException: self._refuse_path,
            ClientDisconnect: self._forget,
            Exception: self._fail,
        }
        found = routes(self._service, has_key=self.exposure.api_key is not None)
        self._posted = {route.path: route for route in found if route.methods == {"POST"} and "{" not in route.path}
        self._routed = Starlette(routes=found, exception_handlers=self._handlers, lifespan=self._lifespan)
        self._routed.router.redirect_slashes = False
        self._app = MeasuredApp(guarded(self._dispatch, self.exposure), self._service.metrics)

    def drain(self) -> None:
        """Tell load balancers and clients from now on to go elsewhere."""
        self._service.draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of ASGI."""
        await self._app(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send predictions, which are most requests, past the router and its middlewares, which cost time."""
        send = self._closing(send) if self._service.draining else send
        route = self._posted.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._routed(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except Exception as error:
            kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
            response = await self._handlers[kind](request, error)
            if kind is Exception:  # so that it reaches the server's log
                await response(scope, receive, send)
                raise
        await response(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        """Let an answer say that the connection ends."""

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [item for item in message.get("headers", ()) if item[0].lower() != b"connection"]
                message = {**message, "headers": [*kept, (b"connection", b"close")]}
            await send(message)

        return closing

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._service.readiness.begin()
        yield
        await self._service.close()

    async def _refuse(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestError):
            raise error
        return refusal_reply(error, request.url.path)

    async def _refuse_path(self, request: Request, error: Exception) -> Response:
        status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
        refusal = RequestError(
            status,
            expected=f"A request must be {self._known}",
            actual=f"got another one: {status.phrase}",
            remedy="See the server's documentation",
        )
        return await self._refuse(request, refusal)

    async def _forget(self, _request: Request, _error: Exception) -> Response:
        _LOGGER.debug("client went away")
        return Response(status_code=HTTPStatus.BAD_REQUEST)

    async def _fail(self, _request: Request, _error: Exception) -> Response:
        return json_reply({"error": "The server failed; its log tells why"}, status=HTTPStatus.INTERNAL_SERVER_ERROR)
