"""The queue batches what waits, keeps order and bounds, and forgets what was given up."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optimum_ose.serving.batching import Batcher, QueueFullError, Rows
from optimum_ose.serving.inputs import TextPair, text_pairs


class Model:
    """A real callee of the batcher: the length of each text; it can be held back."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()
        self.failing = False

    def __call__(self, pairs: list[TextPair]) -> Rows:
        self.batches.append([text for text, _ in pairs])
        assert self.free.wait(10)
        if self.failing or any("poison" in text for text, _ in pairs):
            raise MemoryError
        return [np.array([len(text)], dtype=np.float32) for text, _ in pairs]


def batcher(
    model: Model, *, workers: int = 1, seconds: float = 30, on_batch: Callable[[int, int], None] = lambda *_: None
) -> Batcher:
    return Batcher(
        model,
        max_batch_texts=3,
        max_batch_characters=1000,
        max_queue_texts=8,
        answer_seconds=seconds,
        num_workers=workers,
        on_batch=on_batch,
    )


def lengths(rows: Rows) -> list[float]:
    return [row.item() for row in rows]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def held_request(model: Model, queue: Batcher) -> asyncio.Task[Rows]:
    """A request that the worker computes until `model.free` is set."""
    model.free.clear()
    request = asyncio.create_task(queue.rows(text_pairs("a")))
    await until(lambda: model.batches)
    return request


def test_what_waits_is_computed_together_in_bounded_batches() -> None:
    async def scenario() -> None:
        model, seen = Model(), []
        queue = batcher(model, on_batch=lambda *told: seen.append(told))
        first = await held_request(model, queue)
        others = [asyncio.create_task(queue.rows(text_pairs("b" * n))) for n in range(2, 6)]
        await until(lambda: queue.num_waiting == 4)
        model.free.set()
        assert [lengths(rows) for rows in await asyncio.gather(first, *others)] == [[1], [2], [3], [4], [5]]
        await queue.close()
        assert [len(batch) for batch in model.batches] == [1, 3, 1]
        assert seen == [(1, 4), (3, 1), (1, 0)]

    asyncio.run(scenario())


def test_a_request_of_many_texts_gets_its_rows_in_order() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model, workers=2)
        texts = ["bbb", "", "a", "cccc", "dd", "a", ""]
        assert lengths(await queue.rows(text_pairs(texts))) == [len(text) for text in texts]
        assert await queue.rows([]) == []
        await queue.close()
        assert sorted(map(len, model.batches)) == [1, 3, 3]

    asyncio.run(scenario())


def test_a_large_request_delays_no_small_one_and_long_texts_fill_a_batch() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model)
        first = await held_request(model, queue)
        large = asyncio.create_task(queue.rows(text_pairs(["l" * 600] * 5)))
        small = asyncio.create_task(queue.rows(text_pairs("s")))
        await until(lambda: queue.num_waiting == 6)
        model.free.set()
        await asyncio.gather(first, large, small)
        await queue.close()
        assert [[text[0] for text in batch] for batch in model.batches] == [["a"], ["s", "l", "l"], ["l", "l"], ["l"]]

    asyncio.run(scenario())


def test_large_requests_leave_half_of_the_queue_to_small_ones() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model)
        tasks = [await held_request(model, queue), asyncio.create_task(queue.rows(text_pairs(["l"] * 3)))]
        await until(lambda: queue.num_waiting == 3)
        with pytest.raises(QueueFullError):
            await queue.rows(text_pairs(["l"] * 2))
        tasks += [asyncio.create_task(queue.rows(text_pairs("s"))) for _ in range(5)]
        await until(lambda: queue.num_waiting == 8)
        model.free.set()
        await asyncio.gather(*tasks)
        assert lengths(await queue.rows(text_pairs(["l"] * 8))) == [1] * 8
        await queue.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("hostile", [["h" * 900] * 6, ["h" * 900], ["h" * 90] * 6], ids=["both", "long", "many"])
def test_small_requests_are_computed_before_what_costs_much_more(hostile: list[str]) -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model)
        tasks = [await held_request(model, queue)]
        tasks.append(asyncio.create_task(queue.rows(text_pairs(hostile))))
        await until(lambda: queue.num_waiting == len(hostile))
        tasks += [asyncio.create_task(queue.rows(text_pairs("s"))) for _ in range(2)]
        await until(lambda: queue.num_waiting == len(hostile) + 2)
        model.free.set()
        await asyncio.gather(*tasks)
        await queue.close()
        assert [text[0] for text in model.batches[1]] == ["s", "s", "h"]

    asyncio.run(scenario())


def test_what_costs_much_is_computed_in_the_end_although_small_requests_keep_coming() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model)
        costly = asyncio.create_task(queue.rows(text_pairs(["h" * 500] * 2)))
        num_small = 0

        async def keep_asking() -> None:
            nonlocal num_small
            while not costly.done():
                await queue.rows(text_pairs("s"))
                num_small += 1

        await asyncio.gather(*(keep_asking() for _ in range(6)))
        await queue.close()
        assert lengths(await costly) == [500, 500]
        assert num_small < 6 * 1000

    asyncio.run(scenario())


def test_two_workers_compute_at_once() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model, workers=2)
        model.free.clear()
        tasks = [asyncio.create_task(queue.rows(text_pairs("a"))) for _ in range(4)]
        await until(lambda: len(model.batches) == 2)
        model.free.set()
        await asyncio.gather(*tasks)
        await queue.close()

    asyncio.run(scenario())


def test_a_full_queue_refuses_and_what_was_given_up_is_not_computed() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model)
        first = await held_request(model, queue)
        impatient = asyncio.create_task(queue.rows(text_pairs(["never"] * 4)))
        patient = [asyncio.create_task(queue.rows(text_pairs("b"))) for _ in range(4)]
        await until(lambda: queue.num_waiting == 8)
        with pytest.raises(QueueFullError):
            await queue.rows(text_pairs("c"))
        impatient.cancel()
        await until(impatient.done)
        model.free.set()
        assert [lengths(rows) for rows in await asyncio.gather(*patient)] == [[1]] * 4
        await first
        await queue.close()
        assert not any("never" in batch for batch in model.batches)

    asyncio.run(scenario())


def test_what_waits_too_long_is_given_up_and_what_was_answered_is_not() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model, seconds=0.2)
        first = await held_request(model, queue)
        late = asyncio.create_task(queue.rows(text_pairs("late")))
        for request in (first, late):
            with pytest.raises(TimeoutError):
                await request
        model.free.set()
        assert lengths(await queue.rows(text_pairs("ab"))) == [2]
        await queue.close()
        assert not any("late" in batch for batch in model.batches)

    asyncio.run(scenario())


def test_a_text_that_fails_fails_its_own_request_and_none_that_shares_its_batch() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model)
        first = await held_request(model, queue)
        texts = [["b"], ["poison"], ["cc", "dd"], ["poison", "e"]]
        others = [asyncio.create_task(queue.rows(text_pairs(item))) for item in texts]
        await until(lambda: queue.num_waiting == 6)
        model.free.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        await queue.close()
        assert [lengths(rows) if isinstance(rows, list) else type(rows) for rows in found] == [
            [1],
            [1],
            MemoryError,
            [2, 2],
            MemoryError,
        ]

    asyncio.run(scenario())


def test_a_failing_batch_fails_its_own_requests_and_the_worker_goes_on() -> None:
    async def scenario() -> None:
        model = Model()
        queue = batcher(model)
        model.failing = True
        with pytest.raises(MemoryError):
            await queue.rows(text_pairs(["a", "b"]))
        model.failing = False
        assert lengths(await queue.rows(text_pairs("abc"))) == [3]
        await queue.close()

    asyncio.run(scenario())
