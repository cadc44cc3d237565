"""A signal ends a command also where Python or a library drops the exception that it raises."""

import contextlib
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from optimum_ose.commands.verb import Verb


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handlers of this process, as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Thing:
    """Can be referred to weakly."""


class LastWords:
    """Sends a signal when it is collected."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        self.number = number

    def __del__(self) -> None:
        """Send it."""
        signal.raise_signal(self.number)


def sent_in_a_weakref_callback(number: int) -> None:
    thing = Thing()
    watched = weakref.ref(thing, lambda _: signal.raise_signal(number))
    del thing
    gc.collect()
    assert watched() is None


def sent_in_a_finalizer(number: int) -> None:
    last_words = LastWords(number)
    del last_words
    gc.collect()


def caught_by_a_library(number: int) -> None:
    with contextlib.suppress(BaseException):
        signal.raise_signal(number)


def turned_into_another_error(number: int) -> None:
    try:
        signal.raise_signal(number)
    except BaseException as error:
        raise RuntimeError("tracing failed") from error


def waiting_after(send: Callable[[int], None]) -> Callable[[int], None]:
    """Work that lasts a minute after the signal, unless the signal ends it."""

    def work(number: int) -> None:
        send(number)
        assert not threading.Event().wait(60)
        pytest.fail("the signal was lost")

    return work


class Working(Verb):
    """A verb whose work is given."""

    def __init__(self, work: Callable[[int], None], number: int) -> None:
        """Keep both."""
        self.work, self.number = work, number

    def execute(self) -> None:
        """Do the work."""
        self.work(self.number)


DROPPED = [
    sent_in_a_weakref_callback,
    sent_in_a_finalizer,
    waiting_after(sent_in_a_weakref_callback),
    waiting_after(sent_in_a_finalizer),
]


@pytest.mark.parametrize("work", [signal.raise_signal, *DROPPED])
@pytest.mark.parametrize(
    ("number", "code", "told"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_whose_exception_python_drops_ends_the_command(
    work: Callable[[int], None], number: int, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        Working(work, number).run()
    assert caught.value.code == code
    assert capsys.readouterr().err == f"optimum-ose: {told}; run the same command again to resume\n"


@pytest.mark.parametrize("work", [caught_by_a_library, turned_into_another_error])
def test_a_termination_that_a_library_catches_still_gives_the_exit_code(
    work: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        Working(work, signal.SIGTERM).run()
    assert caught.value.code == 143
    assert capsys.readouterr().err == "optimum-ose: terminated; run the same command again to resume\n"


def test_other_dropped_exceptions_go_where_they_went_before() -> None:
    heard: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda dropped: heard.append(dropped.exc_type)
    try:

        def fails(_: int) -> None:
            thing = Thing()
            watched = weakref.ref(thing, lambda _: {}["missing"])
            del thing
            assert watched() is None

        Working(fails, 0).run()
    finally:
        sys.unraisablehook = before
    assert heard == [KeyError]
