"""Whether a server is ready: it has answered a request of its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal, final

_LOGGER = logging.getLogger(__name__)
_PATIENCE_SECONDS = 0.5
"""How long a question for readiness waits for the trial request: less than probes wait."""


@final
class Readiness:
    """The trial request of one server. To be used within one event loop."""

    def __init__(self, trial: Callable[[], Awaitable[None]]) -> None:
        """Send nothing yet; `trial` sends the request and raises what goes wrong."""
        self._trial = trial
        self._task: asyncio.Task[bool] | None = None

    def begin(self) -> asyncio.Task[bool]:
        """Send the trial request."""
        self._task = asyncio.create_task(self._passes())
        return self._task

    async def end(self) -> None:
        """Wait for a request that is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def state(self) -> Literal["starting", "failing", "ready"]:
        """Whether the request was answered; one that failed is sent again."""
        task = self._task or self.begin()
        await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
        if not task.done():
            return "starting"
        if task.result():
            return "ready"
        self._task = None
        return "failing"

    async def _passes(self) -> bool:
        try:
            await self._trial()
        except Exception:
            _LOGGER.exception("the trial request failed")
            return False
        return True
