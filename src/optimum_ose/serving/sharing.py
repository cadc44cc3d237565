"""One computation for all who ask for the same thing at once."""

import asyncio
from collections.abc import Callable
from typing import final


@final
class SharedAnswer:
    """Bytes that are made anew for each turn of the event loop in which somebody asks, however many ask in it."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        """Begin with nothing made.

        Args:
            make: called in the event loop.
        """
        self._make = make
        self._next: asyncio.Task[bytes] | None = None

    async def get(self) -> bytes:
        """What is made after this call, never before it."""
        if self._next is None:
            self._next = asyncio.create_task(self._made())
        return await asyncio.shield(self._next)

    async def _made(self) -> bytes:
        self._next = None
        return self._make()
