"""How long work tells that it goes on: a listener that is called, and one that hears nothing."""

from typing import Protocol, final


class Listener(Protocol):
    """Hears of the progress of long work."""

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
        """The stage has ended."""
        ...


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
