"""The open connections of one server: which wait for a client, and which make room when there are too many."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, final

_GRACE_SECONDS = 1.0
"""How long a connection may be silent before it makes room for another: its request may be on its way."""
OPEN_PATHS = frozenset({"/health", "/ready", "/v2/health/live", "/v2/health/ready"})
"""What is answered always: whether the process lives and takes requests."""
ALWAYS_SERVED = OPEN_PATHS | {"/metrics"}
"""What is answered even when there are more requests than the server takes."""


class Connection(Protocol):
    """What the crowd asks of a connection."""

    def turn_away(self) -> None:
        """Close it, with a word to a client that has sent something."""


@final
class Crowd:
    """Who is connected. Connections that are silent take no place from those that ask.

    Up to twice `max_connections` are open at once. Beyond `max_connections` those make room that have waited for their
    client for a second, the longest first; beyond twice as many, younger ones too.
    """

    def __init__(self, max_connections: int, *, now: Callable[[], float]) -> None:
        """Begin with nobody.

        Args:
            max_connections: requests served at once.
            now: a clock, in seconds.
        """
        self._max = max_connections
        self._now = now
        self._silent: dict[Connection, float] = {}
        """Those that have not asked yet, and since when, the oldest first."""
        self._idle: dict[Connection, float] = {}
        """Those whose requests are answered, and since when, the oldest first."""
        self._busy: set[Connection] = set()

    @property
    def is_full(self) -> bool:
        """Whether more requests are being served than may be."""
        return len(self._busy) > self._max

    @property
    def _num_open(self) -> int:
        return len(self._silent) + len(self._idle) + len(self._busy)

    def add(self, connection: Connection) -> None:
        """Take a new connection in; another may have to go, or this one where nothing else can."""
        self._silent[connection] = self._now()
        while connection in self._silent and (surplus := self._num_open - self._max) > 0:
            victim = self._victim(connection, of_any_age=surplus > self._max)
            if victim is None:
                return
            self.remove(victim)
            victim.turn_away()

    def ask(self, connection: Connection) -> None:
        """It has sent the head of a request."""
        self.remove(connection)
        self._busy.add(connection)

    def rest(self, connection: Connection) -> None:
        """All its requests are answered."""
        self.remove(connection)
        self._idle[connection] = self._now()

    def remove(self, connection: Connection) -> None:
        """It is closed."""
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)
        self._busy.discard(connection)

    def _victim(self, newcomer: Connection, *, of_any_age: bool) -> Connection | None:
        """Who is to go: one that waits for its client, else the newcomer, if somebody has to."""
        latest = self._now() - (0.0 if of_any_age else _GRACE_SECONDS)
        for waiting in (self._silent, self._idle):
            oldest, since = next(iter(waiting.items()), (newcomer, 0.0))
            if oldest is not newcomer and since <= latest:
                return oldest
        return newcomer if of_any_age else None


BUSY = (
    HTTPStatus.SERVICE_UNAVAILABLE,
    "A server answers a bounded number of requests at once",
    "more came",
)
"""What a request beyond `max_connections` is told."""
