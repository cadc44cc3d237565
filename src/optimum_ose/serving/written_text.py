"""A text that is written token by token: what of it is certain already, and whether it is over."""

from typing import final

from optimum_ose.serving.decoding import Decoder
from optimum_ose.serving.served_task import WriteOptions

_UNFINISHED = "\ufffd"
"""What bytes of a character decode to whose other bytes have not come."""


@final
class WrittenText:
    """The text of tokens, handed out as soon as no further token can change it."""

    def __init__(self, decoder: Decoder, options: WriteOptions) -> None:
        """Begin with nothing."""
        self._decoder = decoder
        self._stops = options.stops
        self._keeps_stop = options.keeps_stop
        self._ids: list[int] = []
        self._num_given = 0
        self.is_stopped = False
        """Whether it holds one of the stops."""

    def add(self, token: int, *, is_last: bool) -> str:
        """What is certain since this token.

        Args:
            token: its id.
            is_last: whether no further one comes, so that all is certain.
        """
        self._ids.append(token)
        text = self._decoder.text(self._ids, skip_special=True)
        text = text if is_last else text[: self._certain(text)]
        end = self._stop(text)
        if end is None:
            end = len(text) if is_last else len(text) - _overlap(text, self._stops)
        else:
            self.is_stopped = True
        new = text[self._num_given : end]
        self._num_given = max(self._num_given, end)
        return new

    def _certain(self, text: str) -> int:
        """Characters that no further token changes: not those of an unfinished character, nor, where spaces are cleaned
        up, the last word.
        """
        size = len(text.rstrip(_UNFINISHED))
        return min(size, max(0, text.rfind(" "))) if self._decoder.cleans else size

    def _stop(self, text: str) -> int | None:
        """Where the text is over, by the stop that comes first."""
        found = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if not found:
            return None
        place, stop = min(found)
        return place + len(stop) if self._keeps_stop else place


def _overlap(text: str, stops: tuple[str, ...]) -> int:
    """Characters at the end of a text with which a stop may have begun."""
    sizes = [size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])]
    return max(sizes, default=0)
