"""Progress on a terminal; silence elsewhere."""

import sys
from typing import Any, final

from tqdm import tqdm

_SHOWN_AFTER_S = 2.0


@final
class TerminalListener:
    """A progress bar per stage that takes longer than two seconds; no bar where standard error is not a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def stage(self, name: str, total: int | None) -> None:
        """See `Listener.stage`."""
        self.finish()
        self._bar = tqdm(total=total, desc=name, delay=_SHOWN_AFTER_S, disable=None, dynamic_ncols=True)

    def advance(self, done: int, note: str) -> None:
        """See `Listener.advance`."""
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)

    def say(self, message: str) -> None:
        """See `Listener.say`."""
        tqdm.write(message, file=sys.stderr)

    def finish(self) -> None:
        """See `Listener.finish`."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def quiet_libraries() -> None:
    """Turn off the bars and load reports of the libraries beneath: the stages have bars of their own."""
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
