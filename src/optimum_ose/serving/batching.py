"""Dynamic batching: what waits when a worker is free is computed in one run."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import heappop, heappush
from threading import Lock
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.inputs import TextPair

Rows = list[NDArray[np.float32]]
_SWEEP_SECONDS = 0.25
"""How often requests that wait too long are looked for, at least: one timer of their own each would cost more than the
rest of their way through the queue."""


@final
class QueueFullError(Exception):
    """More texts wait than the queue may hold."""


_TEXT_COST = 64
"""What a text costs beside its characters, in characters."""
_SMALL_SHARE = 32
"""A request is small if this many like it fit into the queue."""


@final
@dataclass(slots=True, eq=False)
class _Job:
    """The texts of one request, which of them wait (the next one last), and the rows that are there already."""

    pairs: list[TextPair]
    waiting: list[int]
    rows: list[Any]
    missing: int
    is_large: bool
    done: asyncio.Future[Rows]


@final
class Batcher:
    """A bounded queue of texts before a number of worker threads. To be used within one event loop.

    No worker waits for company: a batch is what came in while all workers were busy, so a lone request is not delayed
    and the batches grow with the load. A worker takes its next batch itself, so that it never waits for the event loop
    while there is work.

    Requests share the workers evenly, by the characters of their texts and not by their number, so that neither many
    texts nor long ones delay small requests (self-clocked fair queueing, Golestani 1994). Large requests fill half of
    the queue at most, so that there is room for small ones.
    """

    def __init__(
        self,
        compute: Callable[[list[TextPair]], Rows],
        *,
        max_batch_texts: int,
        max_batch_characters: int,
        max_queue_texts: int,
        answer_seconds: float,
        num_workers: int,
        on_batch: Callable[[int, int], None],
    ) -> None:
        """Start nothing yet.

        Args:
            compute: the rows of texts; called in a thread.
            max_batch_texts: texts per call of it.
            max_batch_characters: characters per call of it, after which no further text is taken.
            max_queue_texts: texts that may wait.
            answer_seconds: after which a request is given up.
            num_workers: calls of it at once.
            on_batch: told of each finished batch its number of texts, and how many wait.
        """
        self._compute = compute
        self._max_batch_texts = max_batch_texts
        self._max_batch_characters = max_batch_characters
        self._max_queue_texts = max_queue_texts
        self._answer_seconds = answer_seconds
        self._num_workers = num_workers
        self._on_batch = on_batch
        self._pool = ThreadPoolExecutor(num_workers, thread_name_prefix="predict")
        self._deadlines: dict[asyncio.Future[Rows], float] = {}
        """Of the requests without an answer, in the loop's time, the earliest first."""
        self._is_sweeping = False
        self._lock = Lock()
        """Of what follows."""
        self._turns: list[tuple[int, int, _Job]] = []
        """A heap of requests: when the next text of each would be done if all shared the workers evenly, in characters
        of one share; then in order of arrival.
        """
        self._num_turns = 0
        self._time = 0
        """On the same scale: that of the text taken last."""
        self._num_large = 0
        """Texts of large requests in the queue."""
        self._num_busy = 0
        self.num_waiting = 0
        """Texts in the queue."""

    @property
    def is_full_for_large(self) -> bool:
        """Whether a large request would be refused."""
        return self._num_large >= self._large_share

    @property
    def _large_share(self) -> int:
        return self._max_queue_texts // 2

    async def rows(self, pairs: list[TextPair]) -> Rows:
        """The rows of one request's texts, in order.

        Raises:
            QueueFullError: if they do not fit into the queue.
            TimeoutError: if they take too long; those that still wait are not computed.
        """
        if not pairs:
            return []
        loop = asyncio.get_running_loop()
        longest_first = sorted(range(len(pairs)), key=lambda index: _size(pairs[index]), reverse=True)
        is_large = len(pairs) > max(1, self._max_queue_texts // _SMALL_SHARE)
        job = _Job(pairs, longest_first, [None] * len(pairs), len(pairs), is_large, loop.create_future())
        with self._lock:
            has_room = self.num_waiting + len(pairs) <= self._max_queue_texts
            if not has_room or (is_large and self._num_large and self._num_large + len(pairs) > self._large_share):
                raise QueueFullError
            self._add_turn(job, self._time)
            self._count_waiting(job, len(pairs))
        self._deadlines[job.done] = loop.time() + self._answer_seconds
        if not self._is_sweeping:
            self._sweep_later(loop)
        loop.call_soon(self._employ, loop)  # not at once: requests that came together are to share a batch
        try:
            return await job.done
        finally:
            del self._deadlines[job.done]

    async def close(self) -> None:
        """Finish what is queued and end the threads."""
        await asyncio.sleep(0)  # workers are employed for what was asked before
        await asyncio.to_thread(self._pool.shutdown)

    def _employ(self, loop: asyncio.AbstractEventLoop) -> None:
        """One more worker, if something waits and there are fewer than there may be."""
        with self._lock:
            if self.num_waiting and self._num_busy < self._num_workers:
                self._num_busy += 1
                self._pool.submit(self._work, loop)

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_sweeping = True
        loop.call_later(min(_SWEEP_SECONDS, self._answer_seconds / 4), self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up requests that wait too long."""
        now = loop.time()
        for done, deadline in self._deadlines.items():
            if deadline > now:
                break
            if not done.done():
                done.set_exception(TimeoutError())
        self._is_sweeping = False
        if self._deadlines:
            self._sweep_later(loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Compute batches until nothing waits."""
        while batch := self._next_batch():
            loop.call_soon_threadsafe(self._hand_out, batch, self._rows_of(batch), self.num_waiting)

    def _rows_of(self, batch: list[tuple[_Job, int]]) -> list[NDArray[np.float32] | Exception]:
        """The row of each text of a batch, or why it has none. A batch that fails is tried again text by text, so that
        one text fails no other.
        """
        try:
            return [*self._compute([job.pairs[index] for job, index in batch])]
        except Exception as error:  # noqa: BLE001  the requests of this batch raise it; the worker goes on
            if len(batch) == 1:
                return [error]
        return [row for item in batch for row in self._rows_of([item])]

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """The texts whose turn it is, without those of requests that were given up; none, and one worker
        less, if nothing waits.
        """
        batch: list[tuple[_Job, int]] = []
        num_characters = 0
        with self._lock:
            while self._turns and len(batch) < self._max_batch_texts and num_characters < self._max_batch_characters:
                time, _, job = heappop(self._turns)
                if job.done.done():
                    self._count_waiting(job, -len(job.waiting))
                    continue
                self._time = max(self._time, time)
                index = job.waiting.pop()
                self._count_waiting(job, -1)
                num_characters += _size(job.pairs[index])
                batch.append((job, index))
                if job.waiting:
                    self._add_turn(job, time)
            if not batch:
                self._num_busy -= 1
        return batch

    def _add_turn(self, job: _Job, after: int) -> None:
        """Enqueue the next text of a request."""
        size = min(_size(job.pairs[job.waiting[-1]]), self._max_batch_characters)
        self._num_turns += 1
        heappush(self._turns, (after + size + _TEXT_COST, self._num_turns, job))

    def _count_waiting(self, job: _Job, change: int) -> None:
        self.num_waiting += change
        if job.is_large:
            self._num_large += change

    def _hand_out(
        self, batch: list[tuple[_Job, int]], rows: list[NDArray[np.float32] | Exception], num_waiting: int
    ) -> None:
        """What a worker has computed, within the event loop."""
        for (job, index), row in zip(batch, rows, strict=True):
            if job.done.done():
                continue
            if isinstance(row, Exception):
                job.done.set_exception(row)
                continue
            job.rows[index] = row
            job.missing -= 1
            if job.missing == 0:
                job.done.set_result(job.rows)
        self._on_batch(len(batch), num_waiting)


def _size(pair: TextPair) -> int:
    return sum(len(text) for text in pair if text is not None)
