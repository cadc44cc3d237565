"""Streams share the workers, end when nobody listens or time is over, and hand errors on."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any

import pytest
from starlette.types import Message

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.batching import QueueFullError
from optimum_ose.serving.direct_queue import DirectQueue
from optimum_ose.serving.replies import EventReply


def one_worker(*, answer_seconds: float = 20.0, max_waiting: int = 2) -> DirectQueue:
    return DirectQueue(num_workers=1, max_waiting=max_waiting, answer_seconds=answer_seconds)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 30))


def test_pieces_come_in_order() -> None:
    async def main() -> list[int]:
        queue = one_worker()
        found = [piece async for piece in queue.stream(lambda: iter(range(100)))]
        assert queue.num_waiting == 0
        await queue.close()
        return found

    assert run(main()) == list(range(100))


def test_a_stream_that_is_closed_sets_its_worker_free() -> None:
    async def main() -> int:
        queue = one_worker()
        endless = queue.stream(itertools.count)
        assert await anext(endless) == 0
        await endless.aclose()
        found: int = await queue.answer(lambda: 7)  # would never come while the only worker counts
        await queue.close()
        return found

    assert run(main()) == 7


def test_a_stream_beyond_its_time_is_given_up_and_sets_its_worker_free() -> None:
    async def main() -> None:
        queue = one_worker(answer_seconds=0.05)
        with pytest.raises(TimeoutError):
            async for _ in queue.stream(itertools.count):
                pass
        await queue.close()  # waits for the worker

    run(main())


def test_an_error_in_a_stream_reaches_who_reads_it() -> None:
    def pieces() -> Iterator[int]:
        yield 1
        raise InvalidDataError("a", "b", "c")

    async def main() -> None:
        queue = one_worker()
        stream = queue.stream(pieces)
        assert await anext(stream) == 1
        with pytest.raises(InvalidDataError):
            await anext(stream)
        await queue.close()

    run(main())


def test_streams_beyond_the_queue_are_refused() -> None:
    async def main() -> None:
        queue = one_worker(max_waiting=1)
        streams = [queue.stream(itertools.count) for _ in range(2)]
        first = await anext(streams[0])
        second = asyncio.ensure_future(anext(streams[1]))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await queue.answer(lambda: 7)
        await streams[0].aclose()
        assert (first, await second) == (0, 0)
        await streams[1].aclose()
        await queue.close()

    run(main())


def test_a_client_that_goes_away_ends_what_makes_its_events() -> None:
    ended = []

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    async def main() -> None:
        sent = asyncio.Event()

        async def receive() -> Message:
            await sent.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.set()

        await EventReply(endless())({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)

    run(main())
    assert ended == [True]
