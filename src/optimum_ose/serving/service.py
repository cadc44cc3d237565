"""What all endpoints of a server share: the model, the queues before it, and the bounds of requests."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.batching import Batcher, QueueFullError
from optimum_ose.serving.body import SMALL_BYTES, BodyReader
from optimum_ose.serving.direct_queue import DirectQueue
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.metrics import Metrics
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError, ServerLimits, refused_input, too_much
from optimum_ose.serving.readiness import Readiness
from optimum_ose.serving.replies import ENCODER
from optimum_ose.serving.sharing import SharedAnswer

_CHARACTERS_PER_TOKEN = 4
"""About; of European languages."""
Rows = list[NDArray[np.float32]]
Piece = TypeVar("Piece")


@final
class Service:
    """One model that answers requests. To be used within one event loop."""

    def __init__(self, pipeline: OnnxPipeline, *, name: str, limits: ServerLimits, num_workers: int) -> None:
        """Start nothing yet.

        Args:
            pipeline: the model.
            name: by which clients know it.
            limits: sizes and times of requests.
            num_workers: batches computed at once.
        """
        self.pipeline = pipeline
        self.name = name
        self.limits = limits
        self.since = int(time.time())
        """When it began, in seconds of Unix."""
        self.draining = False
        """Whether to tell load balancers and clients to go elsewhere."""
        self.metrics = Metrics()
        """Counters."""
        self.metrics_text = SharedAnswer(self._metrics_text)
        """What Prometheus is told."""
        self.readiness = Readiness(self._try)
        """Whether a request of our own was answered."""
        self._bodies = BodyReader(limits)
        self._batcher = Batcher(
            partial(pipeline.rows, batch_size=limits.max_batch_texts, max_tokens=limits.max_batch_tokens),
            max_batch_texts=limits.max_batch_texts,
            max_batch_characters=_CHARACTERS_PER_TOKEN * limits.max_batch_tokens,
            max_queue_texts=limits.max_queue_texts,
            answer_seconds=limits.answer_seconds,
            num_workers=num_workers,
            on_batch=self.metrics.on_batch,
        )
        self._direct = DirectQueue(
            num_workers=num_workers, max_waiting=limits.max_queue_texts, answer_seconds=limits.answer_seconds
        )

    def body(self, request: Request) -> AbstractAsyncContextManager[bytes]:
        """The body of a request; see `BodyReader.body`."""
        return self._bodies.body(request)

    def check_room(self, body: bytes) -> None:
        """Refuse a large request for which there is no room before it is read, which takes time too.

        Raises:
            RequestError: 503.
        """
        if len(body) > SMALL_BYTES and self._batcher.is_full_for_large:
            raise self._full()

    async def rows(self, pairs: list[TextPair], top_k: int | None = None) -> Rows:
        """What the model gives for texts, through the queue of batches.

        Raises:
            RequestError: 400 if it has nothing to say to one, 422 if the answer is too large, 503 if the queue is full,
                504 if it takes too long.
        """

        async def compute() -> Rows:
            await self.computed(partial(self.pipeline.check, pairs))
            return await self._batcher.rows(pairs)

        rows: Rows = await self._refusing(compute())
        if self.pipeline.row_task.answer_values(pairs, rows, top_k) > self.limits.max_answer_values:
            raise too_much(
                f"An answer may hold at most {self.limits.max_answer_values} numbers",
                "it would hold more",
                "Send fewer or shorter texts",
            )
        return rows

    async def direct(self, compute: Callable[[], Any]) -> Any:
        """What a function gives, through the queue of what is not batched; refuses as `rows`."""
        return await self._refusing(self._direct.answer(compute))

    async def stream(self, write: Callable[[], Iterator[Piece]]) -> AsyncGenerator[Piece, None]:
        """What an iterator gives, through the same queue, as it comes; refuses as `rows`."""
        pieces = self._direct.stream(write)
        try:
            while (piece := await self._refusing(anext(pieces, None))) is not None:
                yield piece
        finally:
            await pieces.aclose()

    async def computed(self, function: Callable[[], Any]) -> Any:
        """What a function gives, from a thread if it reads the texts again, so that long ones hold up nobody."""
        return await asyncio.to_thread(function) if self.pipeline.reads_texts_again else function()

    async def close(self) -> None:
        """End the trial request, and finish what is queued."""
        await self.readiness.end()
        await self._batcher.close()
        await self._direct.close()

    async def _try(self) -> None:
        """Answer a request of our own as any other is answered."""
        task = self.pipeline.direct_task
        if task is not None:
            ENCODER.encode(await self.direct(partial(self.pipeline, task.trial)))
            return
        pairs: list[TextPair] = [(self.pipeline.trial_text, None)]
        ENCODER.encode(self.pipeline.answers(pairs, await self.rows(pairs)))

    async def _refusing(self, answer: Awaitable[Any]) -> Any:
        """An answer; what keeps it from being made, as a refusal."""
        try:
            return await answer
        except InvalidDataError as error:
            raise refused_input(error) from error
        except QueueFullError as error:
            raise self._full() from error
        except TimeoutError as error:
            raise RequestError(
                HTTPStatus.GATEWAY_TIMEOUT,
                expected=f"An answer must be there within {self.limits.answer_seconds:g} seconds",
                actual="it was not",
                remedy="Send fewer texts, or the request again later",
            ) from error

    def _full(self) -> RequestError:
        return RequestError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            expected=f"At most {self.limits.max_queue_texts} texts may wait, half of them of large requests",
            actual="more would",
            remedy="Send the request again later",
        )

    def _metrics_text(self) -> bytes:
        waiting = self._batcher.num_waiting + self._direct.num_waiting
        return self.metrics.text(num_waiting=waiting, num_bytes=self._bodies.pending_bytes)
