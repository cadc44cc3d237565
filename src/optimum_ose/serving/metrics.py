"""What a server tells Prometheus."""

import time
from functools import cache
from typing import Any, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64)


@final
class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter("ose_requests", "Requests answered", "path", "status")
        self._seconds = Histogram(
            "ose_request_seconds",
            "Time from the head of a request to its answer",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._texts = self._counter("ose_texts", "Texts computed")
        self._batches = Histogram("ose_batch_texts", "Texts in one batch", buckets=_TEXTS, registry=self._registry)
        self._children = cache(self._make_children)
        self._waiting = Gauge("ose_queue_texts", "Texts that wait for a worker", registry=self._registry)
        self._pending = Gauge("ose_pending_bytes", "Bodies in memory, unanswered", registry=self._registry)

    def on_batch(self, num_texts: int, num_waiting: int) -> None:
        """Count one batch."""
        self._texts.inc(num_texts)
        self._batches.observe(num_texts)
        self._waiting.set(num_waiting)

    def on_request(self, path: str, status: int, seconds: float) -> None:
        """Count one answer."""
        requests, times = self._children(path, status)
        requests.inc()
        times.observe(seconds)

    def text(self, *, num_waiting: int, num_bytes: int) -> bytes:
        """All of it in Prometheus' format, with the queue and the bodies as they are now."""
        self._waiting.set(num_waiting)
        self._pending.set(num_bytes)
        return generate_latest(self._registry)

    def _make_children(self, path: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(path, str(status)), self._seconds.labels(path)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self._registry)


@final
class MeasuredApp:
    """An ASGI app whose answers are counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            self._metrics.on_request(_path(scope), status, time.perf_counter() - start)


def _path(scope: dict[str, Any] | Scope) -> str:
    """The template of the route, so that the number of series is bounded."""
    route = scope.get("route")
    return str(getattr(route, "path", "other"))
