"""Dynamic batching: what waits when a worker is free is computed in one run."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.inputs import TextPair

Rows = list[NDArray[np.float32]]


@final
class QueueFullError(Exception):
    """More texts wait than the queue may hold."""


@final
@dataclass(slots=True)
class _Job:
    """The texts of one request, which of them wait (the next one last), and the rows that are there already."""

    pairs: list[TextPair]
    waiting: list[int]
    rows: list[Any]
    missing: int
    done: asyncio.Future[Rows]


@final
class Batcher:
    """A bounded queue of texts before a number of worker threads. To be used within one event loop.

    No worker waits for company: a batch is what came in while all workers were busy, so a lone request is not delayed
    and the batches grow with the load. Requests take turns, text by text, so that a large one delays no small one.
    """

    def __init__(
        self,
        compute: Callable[[list[TextPair]], Rows],
        *,
        max_batch_texts: int,
        max_batch_characters: int,
        max_queue_texts: int,
        num_workers: int,
        on_batch: Callable[[int, int], None],
    ) -> None:
        """Start nothing yet.

        Args:
            compute: the rows of texts; called in a thread.
            max_batch_texts: texts per call of it.
            max_batch_characters: characters per call of it, after which no further text is taken.
            max_queue_texts: texts that may wait.
            num_workers: calls of it at once.
            on_batch: told of each finished batch its number of texts, and how many wait.
        """
        self._compute = compute
        self._max_batch_texts = max_batch_texts
        self._max_batch_characters = max_batch_characters
        self._max_queue_texts = max_queue_texts
        self._num_workers = num_workers
        self._on_batch = on_batch
        self._jobs: deque[_Job] = deque()
        self.num_waiting = 0
        """Texts in the queue."""
        self._pool: ThreadPoolExecutor | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def rows(self, pairs: list[TextPair]) -> Rows:
        """The rows of one request's texts, in order.

        Raises:
            QueueFullError: if they do not fit into the queue.
        """
        if not pairs:
            return []
        if self.num_waiting + len(pairs) > self._max_queue_texts:
            raise QueueFullError
        longest_first = sorted(range(len(pairs)), key=lambda index: _size(pairs[index]), reverse=True)
        done = asyncio.get_running_loop().create_future()
        job = _Job(pairs, longest_first, [None] * len(pairs), len(pairs), done)
        self._jobs.append(job)
        self.num_waiting += len(pairs)
        self._employ()
        return await job.done

    async def close(self) -> None:
        """Finish what is queued and end the threads."""
        while self._running:
            await asyncio.wait(self._running)
        if self._pool is not None:
            self._pool.shutdown()

    def _employ(self) -> None:
        """One more worker, if there are fewer than there may be."""
        if len(self._running) < self._num_workers:
            self._running.add(asyncio.create_task(self._work()))

    async def _work(self) -> None:
        """Compute batches until nothing waits."""
        self._pool = self._pool or ThreadPoolExecutor(self._num_workers, thread_name_prefix="predict")
        try:
            while batch := self._next_batch():
                await self._compute_batch(batch)
        finally:
            # Here and not in a callback of the task: between the two a request could come and find no worker.
            self._running.discard(asyncio.current_task())

    async def _compute_batch(self, batch: list[tuple[_Job, int]]) -> None:
        pairs = [job.pairs[index] for job, index in batch]
        try:
            rows = await asyncio.get_running_loop().run_in_executor(self._pool, self._compute, pairs)
        except Exception as error:  # noqa: BLE001  the requests of this batch raise it; the worker goes on
            for job, _ in batch:
                if not job.done.done():
                    job.done.set_exception(error)
        else:
            _hand_out(batch, rows)
        self._on_batch(len(batch), self.num_waiting)

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """One text of each waiting request in turn, without those of requests that were given up."""
        batch: list[tuple[_Job, int]] = []
        num_characters = 0
        while self._jobs and len(batch) < self._max_batch_texts and num_characters < self._max_batch_characters:
            job = self._jobs.popleft()
            if job.done.done():
                self.num_waiting -= len(job.waiting)
                continue
            index = job.waiting.pop()
            self.num_waiting -= 1
            num_characters += _size(job.pairs[index])
            batch.append((job, index))
            if job.waiting:
                self._jobs.append(job)
        return batch


def _size(pair: TextPair) -> int:
    return sum(len(text) for text in pair if text is not None)


def _hand_out(batch: list[tuple[_Job, int]], rows: Rows) -> None:
    for (job, index), row in zip(batch, rows, strict=True):
        job.rows[index] = row
        job.missing -= 1
        if job.missing == 0 and not job.done.done():
            job.done.set_result(job.rows)
