"""Bodies of requests, read only as far as they may be, within one budget of memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import final

from starlette.requests import Request

from optimum_ose.serving.protocol import RequestError, ServerLimits

SMALL_BYTES = 2**16
"""Size of a body up to which a request is small."""
_MAX_DISCARDED_BYTES = 64 * 2**20


@final
class BodyReader:
    """Reads the bodies of one server's requests."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self.pending_bytes = 0
        """Size of the bodies of unanswered requests."""

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request; until it is answered its size counts against the budget.

        Raises:
            RequestError: 411 without a size, 413 beyond the limit, 503 beyond the budget, 408 if it comes too slowly.
        """
        try:
            size = self._size(request)
        except RequestError:
            await self._discard(request)
            raise
        self.pending_bytes += size
        try:
            yield await self._read(request)
        finally:
            self.pending_bytes -= size

    def _size(self, request: Request) -> int:
        length, limit = request.headers.get("content-length", ""), self._limits.max_body_bytes
        if "transfer-encoding" in request.headers or not (length.isascii() and length.isdigit()):
            raise RequestError(
                HTTPStatus.LENGTH_REQUIRED,
                expected="A request must tell the size of its body in Content-Length",
                actual="it does not",
                remedy="Send the body in one piece",
            )
        if int(length) > limit:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                expected=f"A request body may have at most {limit} bytes",
                actual=f"it has {length}",
                remedy="Send several requests",
            )
        budget = self._limits.max_pending_bytes
        if int(length) > SMALL_BYTES:  # the rest is for small ones
            budget = budget * 3 // 4
        if self.pending_bytes + int(length) > budget:
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                expected=f"Unanswered requests may hold at most {budget} bytes",
                actual="they would hold more",
                remedy="Send the request again later",
            )
        return int(length)

    async def _read(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                return await request.body()
        except TimeoutError as error:
            raise RequestError(
                HTTPStatus.REQUEST_TIMEOUT,
                expected=f"A request must arrive within {self._limits.request_seconds:g} seconds",
                actual="it did not",
                remedy="Send it faster",
            ) from error

    async def _discard(self, request: Request) -> None:
        """Let a refused body pass by: clients read no answer before they have sent it.

        To one that asked whether it may send, the answer is the refusal; one that sends without end is cut off.
        """
        if request.headers.get("expect") is not None:
            return
        left = _MAX_DISCARDED_BYTES
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                async for chunk in request.stream():
                    left -= len(chunk)
                    if left < 0:
                        return
        except TimeoutError:
            return
