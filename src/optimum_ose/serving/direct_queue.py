"""The queue of requests that are not batched: each is computed, or written piece by piece, by one worker."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, TypeVar, final

from optimum_ose.serving.batching import QueueFullError

Piece = TypeVar("Piece")


@final
class DirectQueue:
    """A bounded queue of requests before a number of worker threads. To be used within one event loop."""

    def __init__(self, *, num_workers: int, max_waiting: int, answer_seconds: float) -> None:
        """Start nothing yet.

        Args:
            num_workers: requests computed at once.
            max_waiting: requests that may wait beside them.
            answer_seconds: after which a request is given up.
        """
        self._pool = ThreadPoolExecutor(num_workers, thread_name_prefix="predict")
        self._most = num_workers + max_waiting
        self._answer_seconds = answer_seconds
        self.num_waiting = 0
        """Requests in the queue or at work."""

    async def answer(self, compute: Callable[[], Any]) -> Any:
        """What a function gives, from a thread.

        Raises:
            QueueFullError: if too many requests wait.
            TimeoutError: if it takes too long; one that still waits is not computed.
            InvalidDataError: as the function.
        """
        return await asyncio.wait_for(self._submit(compute), self._answer_seconds)

    async def stream(self, write: Callable[[], Iterator[Piece]]) -> AsyncGenerator[Piece, None]:
        """What an iterator gives, from a thread, as it comes. Closed before its end, it stops after the next piece.

        Raises:
            QueueFullError, TimeoutError, InvalidDataError: as `answer`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._answer_seconds
        pieces: asyncio.Queue[tuple[Piece] | None] = asyncio.Queue()
        is_given_up = Event()

        def work() -> None:
            for piece in write():
                if is_given_up.is_set():
                    return
                loop.call_soon_threadsafe(pieces.put_nowait, (piece,))

        future = self._submit(work)
        future.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while True:
                found = await asyncio.wait_for(pieces.get(), deadline - loop.time())
                if found is None:
                    break
                yield found[0]
            await future
        finally:
            is_given_up.set()
            future.cancel()

    async def close(self) -> None:
        """Wait for what is at work."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    def _submit(self, compute: Callable[[], Any]) -> "asyncio.Future[Any]":
        if self.num_waiting >= self._most:
            raise QueueFullError
        self.num_waiting += 1
        future = asyncio.wrap_future(self._pool.submit(compute))
        future.add_done_callback(self._leave)
        return future

    def _leave(self, future: "asyncio.Future[Any]") -> None:
        self.num_waiting -= 1
        if not future.cancelled():
            future.exception()  # one that nobody waits for any more is not reported twice
