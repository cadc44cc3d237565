"""Progress reporting: a listener that is called, and one that hears nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, final


class Listener(Protocol):
    """Hears of the progress of long work. A stage may begin inside another; `finish` ends the inner one."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage begins; `total` steps are expected, if that is known."""
        ...

    def advance(self, done: int, note: str) -> None:
        """`done` steps of the stage are finished; `note` is a short figure such as a loss."""
        ...

    def say(self, message: str) -> None:
        """Something that the user should know."""
        ...

    def finish(self) -> None:
        """The stage that began last has ended."""
        ...


@contextmanager
def working(listener: Listener, name: str, total: int | None) -> Iterator[None]:
    """A stage that ends with the block, also if that fails.

    Args:
        listener: hears of it.
        name: of the stage.
        total: steps, if they are known.
    """
    depth: int | None = getattr(listener, "depth", None)
    listener.stage(name, total)
    try:
        yield
    finally:
        listener.finish()
        while depth is not None and getattr(listener, "depth", depth) > depth:  # inner stages that failed
            listener.finish()


@final
class SilentListener:
    """Hears nothing."""

    def stage(self, name: str, total: int | None) -> None:
        """See `Listener.stage`."""

    def advance(self, done: int, note: str) -> None:
        """See `Listener.advance`."""

    def say(self, message: str) -> None:
        """See `Listener.say`."""

    def finish(self) -> None:
        """See `Listener.finish`."""
