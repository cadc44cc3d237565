"""Reading from a client that may be slow, idle or gone."""

import io
import socket
import threading
import time
from typing import Any, final

_POLL_SECONDS = 0.1


@final
class DeadlineReader(io.RawIOBase):
    """Bytes of a connection until the request's deadline, or until the server drains while no request has begun.

    A socket's own timeout starts anew with every byte, so that a client that drips could hold a thread for ever.
    """

    def __init__(self, connection: socket.socket, *, seconds: float, draining: threading.Event) -> None:
        self._connection = connection
        self._seconds = seconds
        self._draining = draining
        self.begin_request()

    def begin_request(self) -> None:
        """Give the next request its full time."""
        self._deadline = time.monotonic() + self._seconds
        self._begun = False

    def readable(self) -> bool:
        """True, as `io.BufferedReader` wants to know."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Bytes read into the buffer; 0 at the end of the connection.

        Raises:
            TimeoutError: at the deadline.
        """
        while (remaining := self._deadline - time.monotonic()) > 0:
            self._connection.settimeout(min(remaining, _POLL_SECONDS))
            try:
                num_bytes = self._connection.recv_into(buffer)
            except TimeoutError:
                if self._draining.is_set() and not self._begun:
                    return 0
                continue
            self._begun = True
            return num_bytes
        raise TimeoutError("the request did not arrive in time")
