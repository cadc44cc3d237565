"""SIGTERM and SIGINT end a command, also where Python or a library drops the exception that a signal raises."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 143
_SECONDS_UNTIL_RESENT = 0.05


class Terminated(SystemExit):
    """SIGTERM came."""


@contextmanager
def lasting_signals() -> Iterator[None]:
    """Within the block SIGTERM raises `Terminated`, and neither it nor SIGINT gets lost.

    Python ignores what is raised in a weakref callback or a `__del__`: the signal is sent again a moment later. A
    library may catch everything: the block then ends with the signal's exception.
    """
    came: list[BaseException] = []
    timers: list[threading.Timer] = []

    def terminate(_number: int, _frame: FrameType | None) -> None:
        came.append(Terminated(TERMINATED))
        raise came[-1]

    def send_again(dropped: "sys.UnraisableHookArgs") -> None:
        error = dropped.exc_value
        if not isinstance(error, Terminated | KeyboardInterrupt):
            before(dropped)
            return
        came.append(error)
        number = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        main = threading.main_thread().ident
        timers.append(threading.Timer(_SECONDS_UNTIL_RESENT, signal.pthread_kill, (main, number)))
        timers[-1].daemon = True
        timers[-1].start()

    signal.signal(signal.SIGTERM, terminate)
    before, sys.unraisablehook = sys.unraisablehook, send_again
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in timers:
            timer.cancel()
        if came:
            raise came[0]
