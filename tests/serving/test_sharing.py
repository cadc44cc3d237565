"""Those who ask at once share one answer, which is made after they asked."""

import asyncio
from itertools import count

from optimum_ose.serving.sharing import SharedAnswer


def test_those_who_ask_in_one_turn_share_an_answer_and_the_next_ones_get_another() -> None:
    numbers = count()
    shared = SharedAnswer(lambda: b"%d" % next(numbers))

    async def ask() -> list[bytes]:
        first = await asyncio.gather(*(shared.get() for _ in range(100)))
        return [*first, await shared.get()]

    *first, second = asyncio.run(ask())
    assert set(first) == {b"0"}
    assert second == b"1"


def test_one_that_gives_up_takes_the_answer_from_nobody() -> None:
    shared = SharedAnswer(lambda: b"made")

    async def ask() -> bytes:
        impatient, patient = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert asyncio.run(ask()) == b"made"


def test_a_failure_is_told_to_all_and_forgotten() -> None:
    results = iter([None, b"made"])

    def make() -> bytes:
        result = next(results)
        if result is None:
            raise ValueError("once")
        return result

    shared = SharedAnswer(make)

    async def ask() -> bytes:
        for failed in await asyncio.gather(shared.get(), shared.get(), return_exceptions=True):
            assert isinstance(failed, ValueError)
        return await shared.get()

    assert asyncio.run(ask()) == b"made"
