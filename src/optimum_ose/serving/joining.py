"""Fewer, larger writes to a client."""

import asyncio
from typing import Any, final


@final
class JoiningTransport:
    """A transport that sends together what is written in one turn of the event loop: uvicorn writes the head and the
    body of an answer apart, and each would be a system call here and a wake-up of the client.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send this at the end of the turn."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():  # lost meanwhile: uvloop would refuse to write
            self._transport.write(b"".join(held))
