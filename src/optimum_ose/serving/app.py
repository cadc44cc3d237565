"""The ASGI app around an `OnnxPipeline`: the Hub's `/predict`, the Open Inference Protocol, health and metrics."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.batching import Batcher, QueueFullError
from optimum_ose.serving.body import SMALL_BYTES, BodyReader
from optimum_ose.serving.direct import DirectQueue, as_refusal, parse_direct
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.guard import guarded
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.metrics import CONTENT_TYPE, MeasuredApp, Metrics
from optimum_ose.serving.open_inference import (
    HEADER_LENGTH,
    VERSION,
    check_name,
    model_metadata,
    parse_infer,
    render_infer,
)
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError, ServerLimits, error_body, parse_request
from optimum_ose.serving.readiness import Readiness
from optimum_ose.serving.sharing import SharedAnswer

_LOGGER = logging.getLogger(__name__)
_CHARACTERS_PER_TOKEN = 4
"""About; of European languages."""
_ENCODER = json.JSONEncoder(allow_nan=False)
_CLOSING = {HTTPStatus.LENGTH_REQUIRED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT}
"""Refusals after which a rest of the body may still be on its way."""


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
            name: of the model in the Open Inference Protocol.
            limits: sizes and times of requests.
            num_workers: batches computed at once.
            exposure: who may ask; its certificate is the affair of the ASGI server.

        Raises:
            InvalidConfigError: if the name cannot be a part of a path.
        """
        check_name(name)
        self._direct_task = pipeline.direct_task
        self.limits = limits or ServerLimits()
        self.exposure = exposure or Exposure()
        self.draining = False
        """Whether to tell load balancers and clients to go elsewhere."""
        self._pipeline = pipeline
        self._readiness = Readiness(self._try)
        self._name = name
        self._metrics = Metrics()
        self._bodies = BodyReader(self.limits)
        self._batcher = Batcher(
            partial(pipeline.rows, batch_size=self.limits.max_batch_texts, max_tokens=self.limits.max_batch_tokens),
            max_batch_texts=self.limits.max_batch_texts,
            max_batch_characters=_CHARACTERS_PER_TOKEN * self.limits.max_batch_tokens,
            max_queue_texts=self.limits.max_queue_texts,
            answer_seconds=self.limits.answer_seconds,
            num_workers=num_workers,
            on_batch=self._metrics.on_batch,
        )
        self._direct = DirectQueue(
            num_workers=num_workers,
            max_waiting=self.limits.max_queue_texts,
            answer_seconds=self.limits.answer_seconds,
        )
        self._metrics_text = SharedAnswer(
            lambda: self._metrics.text(num_waiting=self._num_waiting, num_bytes=self._bodies.pending_bytes)
        )
        self._predict_route = Route("/predict", self._predict, methods=["POST"])
        self._handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
            RequestError: self._refuse,
            HTTPException: self._refuse_path,
            ClientDisconnect: self._forget,
            Exception: self._fail,
        }
        self._routed = self._with_routes()
        self._routed.router.redirect_slashes = False
        self._app = MeasuredApp(guarded(self._dispatch, self.exposure), self._metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of ASGI."""
        await self._app(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send predictions, which are most requests, past the router and its middlewares, which cost time."""
        if scope["type"] != "http" or scope["path"] != self._predict_route.path or scope["method"] != "POST":
            await self._routed(scope, receive, send)
            return
        scope["route"] = self._predict_route
        request = Request(scope, receive)
        try:
            response = await self._predict(request)
        except Exception as error:
            kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
            response = await self._handlers[kind](request, error)
            if kind is Exception:  # so that it reaches the server's log
                await response(scope, receive, send)
                raise
        await response(scope, receive, send)

    def _with_routes(self) -> Starlette:
        by_text = self._direct_task is None  # only these have tensors
        models = ("/v2/models/{model}", f"/v2/models/{{model}}/versions/{VERSION}") if by_text else ()
        return Starlette(
            routes=[
                self._predict_route,
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/metrics", self._tell_metrics),
                Route("/v2", self._server_metadata),
                Route("/v2/health/live", self._health),
                Route("/v2/health/ready", self._ready),
                *(Route(path, self._model_metadata) for path in models),
                *(Route(f"{path}/ready", self._model_ready) for path in models),
                *(Route(f"{path}/infer", self._infer, methods=["POST"]) for path in models),
            ],
            exception_handlers=self._handlers,
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._readiness.begin()
        yield
        await self._readiness.end()
        await self._batcher.close()
        await self._direct.close()

    async def _predict(self, request: Request) -> Response:
        async with self._bodies.body(request) as body:
            self._check_room(body)
            if self._direct_task is not None:
                direct = parse_direct(body, self._direct_task, self.limits)
                return self._reply(await self._answered(partial(self._pipeline, direct.inputs, **direct.parameters)))
            asked = parse_request(body, self.limits, self._pipeline.parts)
            pairs = asked.pairs
            rows = await self._rows(pairs, asked.top_k)
            answer = partial(self._pipeline.answers, pairs, rows, top_k=asked.top_k)
            found = await self._computed(partial(answer, aggregation_strategy=asked.aggregation_strategy))
            return self._reply(self._pipeline.joined(asked.inputs, asked.parts, found))

    async def _infer(self, request: Request) -> Response:
        self._check_model(request)
        async with self._bodies.body(request) as body:
            self._check_room(body)
            header_length = request.headers.get(HEADER_LENGTH)
            parsed = parse_infer(body, header_length, outputs=self._pipeline.row_task.outputs, limits=self.limits)
            rows = await self._rows(parsed.pairs, None)
            render = partial(render_infer, parsed, rows, name=self._name, pipeline=self._pipeline)
            content, json_size = await self._computed(render)
        if json_size is None:
            return self._bytes(content, "application/json")
        return self._bytes(content, "application/octet-stream", headers={HEADER_LENGTH: str(json_size)})

    async def _computed(self, function: Callable[[], Any]) -> Any:
        """What a function gives, from a thread if it reads the texts again, so that long ones hold up nobody."""
        return await asyncio.to_thread(function) if self._pipeline.reads_texts_again else function()

    async def _rows(self, pairs: list[TextPair], top_k: int | None) -> list[NDArray[np.float32]]:
        async def compute() -> list[NDArray[np.float32]]:
            await self._computed(partial(self._pipeline.check, pairs))
            return await self._batcher.rows(pairs)

        rows: list[NDArray[np.float32]] = await self._refusing(compute())
        if self._pipeline.row_task.answer_values(pairs, rows, top_k) > self.limits.max_answer_values:
            raise RequestError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                expected=f"An answer may hold at most {self.limits.max_answer_values} numbers",
                actual="it would hold more",
                remedy="Send fewer or shorter texts",
            )
        return rows

    async def _answered(self, compute: Callable[[], Any]) -> Any:
        return await self._refusing(self._direct.answer(compute))

    async def _refusing(self, answer: Awaitable[Any]) -> Any:
        """An answer; what keeps it from being made, as a refusal."""
        try:
            return await answer
        except InvalidDataError as error:
            raise as_refusal(error) from error
        except QueueFullError as error:
            raise self._full() from error
        except TimeoutError as error:
            raise RequestError(
                HTTPStatus.GATEWAY_TIMEOUT,
                expected=f"An answer must be there within {self.limits.answer_seconds:g} seconds",
                actual="it was not",
                remedy="Send fewer texts, or the request again later",
            ) from error

    @property
    def _num_waiting(self) -> int:
        return self._batcher.num_waiting + self._direct.num_waiting

    def _check_room(self, body: bytes) -> None:
        """Refuse a large request for which there is no room before it is read, which takes time too."""
        if len(body) > SMALL_BYTES and self._batcher.is_full_for_large:
            raise self._full()

    def _full(self) -> RequestError:
        return RequestError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            expected=f"At most {self.limits.max_queue_texts} texts may wait, half of them of large requests",
            actual="more would",
            remedy="Send the request again later",
        )

    async def _health(self, _request: Request) -> Response:
        return self._reply({"status": "ok", "live": True})

    async def _ready(self, _request: Request) -> Response:
        state = "draining" if self.draining else await self._readiness.state()
        status = HTTPStatus.OK if state == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
        return self._reply({"status": state, "ready": state == "ready"}, status=status)

    async def _try(self) -> None:
        """Answer a request of our own as any other is answered."""
        if self._direct_task is not None:
            _ENCODER.encode(await self._answered(partial(self._pipeline, self._direct_task.trial)))
            return
        pairs: list[TextPair] = [(self._pipeline.trial_text, None)]
        rows = await self._rows(pairs, None)
        _ENCODER.encode(self._pipeline.answers(pairs, rows))

    async def _tell_metrics(self, _request: Request) -> Response:
        return self._bytes(await self._metrics_text.get(), CONTENT_TYPE)

    async def _server_metadata(self, _request: Request) -> Response:
        return self._reply({"name": "optimum-ose", "version": VERSION, "extensions": ["binary_tensor_data"]})

    async def _model_metadata(self, request: Request) -> Response:
        self._check_model(request)
        return self._reply(model_metadata(self._name, self._pipeline))

    async def _model_ready(self, request: Request) -> Response:
        self._check_model(request)
        return await self._ready(request)

    def _check_model(self, request: Request) -> None:
        if request.path_params["model"] != self._name:
            raise RequestError(
                HTTPStatus.NOT_FOUND,
                expected=f"The model of this server is {self._name}",
                actual="another one was asked for",
                remedy=f"Ask for /v2/models/{self._name}",
            )

    async def _refuse(self, _request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestError):
            raise error
        response = self._reply(error_body(error), status=error.status)
        if error.status in _CLOSING:
            response.headers["connection"] = "close"
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["retry-after"] = "1"
        return response

    async def _refuse_path(self, request: Request, error: Exception) -> Response:
        status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
        refusal = RequestError(
            status,
            expected="A request must be POST /predict, GET /health, GET /ready, GET /metrics or one of /v2",
            actual=f"got another one: {status.phrase}",
            remedy="See the server's documentation",
        )
        return await self._refuse(request, refusal)

    async def _forget(self, _request: Request, _error: Exception) -> Response:
        _LOGGER.debug("client went away")
        return Response(status_code=HTTPStatus.BAD_REQUEST)

    async def _fail(self, _request: Request, _error: Exception) -> Response:
        return self._reply({"error": "The server failed; its log tells why"}, status=HTTPStatus.INTERNAL_SERVER_ERROR)

    def _reply(self, content: Any, *, status: HTTPStatus = HTTPStatus.OK) -> Response:
        return self._bytes(_ENCODER.encode(content).encode(), "application/json", status=status)

    def _bytes(
        self,
        body: bytes,
        content_type: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Response:
        closing = {"connection": "close"} if self.draining else {}
        return Response(body, status, headers={"content-type": content_type, **headers, **closing})
