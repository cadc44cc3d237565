"""Shows progress: a bar on a terminal; elsewhere a line from time to time, so that long work is never silent."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from tqdm import tqdm

from optimum_ose.processes import is_first
from optimum_ose.progress import Listener, SilentListener
from optimum_ose.wording import one_line

FIRST_LINE_S = 5.0
"""Seconds after which a stage says for the first time how far it is."""
INTERVAL_S = 30.0
"""Seconds between two lines of a stage."""
_BAR_AFTER_S = 2.0
_PULSE_S = 1.0


@dataclass(slots=True)
class _Stage:
    name: str
    total: int | None
    start: float
    bar: Any = None
    done: int | None = None
    first: tuple[float, int] | None = None
    """When the first step was told, and its number: a resumed stage begins far on."""
    note: str = ""
    told: float | None = field(default=None)


@final
class Pulse:
    """Calls a function about once a second in a thread of its own, from `start` to `stop`.

    Args:
        beat: is called; it must not raise.
        interval: seconds.
    """

    def __init__(self, beat: Callable[[], None], *, interval: float = _PULSE_S) -> None:
        self._beat, self._interval = beat, interval
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it beats already."""
        if self._thread is None:
            self._stopped = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stopped,), daemon=True, name="ose-progress")
            self._thread.start()

    def stop(self) -> None:
        """End; no beat comes after this."""
        thread, self._thread = self._thread, None
        self._stopped.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._interval):
            self._beat()


@final
class LineListener:
    """Writes a line per stage from time to time: the first after a few seconds, then one every 30 seconds.

    A stage inside another is told instead of it, until it has ended.

    Args:
        write: gets each line, without its end.
        clock: seconds.
        pulse: whether a thread writes lines for stages that report no progress themselves.
    """

    def __init__(
        self, write: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic, pulse: bool = True
    ) -> None:
        self._write, self._clock = write, clock
        self._stages: list[_Stage] = []
        self._lock = threading.RLock()
        self._pulse = Pulse(self.beat) if pulse else None

    @property
    def depth(self) -> int:
        """Stages that have begun and not ended."""
        return len(self._stages)

    def stage(self, name: str, total: int | None) -> None:
        """See `Listener.stage`."""
        with self._lock:
            self._stages.append(_Stage(name=name, total=total, start=self._clock()))
        if self._pulse is not None:
            self._pulse.start()

    def advance(self, done: int, note: str) -> None:
        """See `Listener.advance`."""
        with self._lock:
            if self._stages:
                stage = self._stages[-1]
                stage.done, stage.note = done, note
                stage.first = stage.first or (self._clock(), done)
        self.beat()

    def say(self, message: str) -> None:
        """See `Listener.say`."""
        with self._lock:
            self._write(message)

    def finish(self) -> None:
        """See `Listener.finish`."""
        with self._lock:
            stage = self._stages.pop() if self._stages else None
            if stage is not None and stage.told is not None:
                self._write(f"{stage.name}: done after {duration(self._clock() - stage.start)}")
            is_last = not self._stages
        if is_last and self._pulse is not None:
            self._pulse.stop()

    def beat(self) -> None:
        """Write a line, if one is due."""
        with self._lock:
            if not self._stages:
                return
            stage, now = self._stages[-1], self._clock()
            due = stage.start + FIRST_LINE_S if stage.told is None else stage.told + INTERVAL_S
            if now >= due:
                stage.told = now
                self._write(progress_line(stage.name, stage.total, stage.done, stage.note, _times(stage, now)))


@final
class BarListener:
    """Shows a progress bar per stage that takes longer than two seconds."""

    def __init__(self) -> None:
        self._bars: list[tqdm[Any]] = []
        self._pulse = Pulse(self._refresh)

    @property
    def depth(self) -> int:
        """Stages that have begun and not ended."""
        return len(self._bars)

    def stage(self, name: str, total: int | None) -> None:
        """See `Listener.stage`."""
        self._bars.append(tqdm(total=total, desc=name, delay=_BAR_AFTER_S, dynamic_ncols=True, leave=None))
        self._pulse.start()

    def advance(self, done: int, note: str) -> None:
        """See `Listener.advance`."""
        if self._bars:
            bar = self._bars[-1]
            bar.set_postfix_str(one_line(note, limit=60), refresh=False)
            bar.update(done - bar.n)

    def say(self, message: str) -> None:
        """See `Listener.say`."""
        tqdm.write(message, file=sys.stderr)

    def finish(self) -> None:
        """See `Listener.finish`."""
        if len(self._bars) <= 1:
            self._pulse.stop()
        if self._bars:
            self._bars.pop().close()

    def _refresh(self) -> None:
        """Update the elapsed time of a stage that reports no progress."""
        for bar in tuple(self._bars[-1:]):
            if bar.format_dict["elapsed"] >= _BAR_AFTER_S:
                bar.refresh()


def default_listener() -> Listener:
    """Bars where standard error is a terminal, lines where it is not; silence in all processes but the first."""
    if not is_first():
        return SilentListener()
    return BarListener() if sys.stderr.isatty() else LineListener(_to_stderr)


def progress_line(name: str, total: int | None, done: int | None, note: str, times: tuple[float, float | None]) -> str:
    """How far a stage is, on one line.

    Args:
        name: of the stage.
        total: steps, if they are known.
        done: finished steps, if any was told.
        note: a short figure.
        times: seconds so far, and to go, if that can be told.
    """
    spent, left = times
    steps = "" if done is None else f" {done:,}" if not total else f" {done:,}/{total:,} ({done / total:.0%})"
    facts = [f"{name}:{steps}" if steps else f"{name}: at work"]
    facts += [one_line(note, limit=60)] if note else []
    facts += [duration(spent)] + ([] if left is None else [f"about {duration(left)} left"])
    return ", ".join(facts)


def duration(seconds: float) -> str:
    """Seconds as people say them: "45 s", "3 min", "2 h 5 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _times(stage: _Stage, now: float) -> tuple[float, float | None]:
    spent = now - stage.start
    if not stage.total or stage.done is None or stage.first is None or stage.done <= stage.first[1]:
        return spent, None
    per_step = (now - stage.first[0]) / (stage.done - stage.first[1])
    return spent, per_step * max(0, stage.total - stage.done)


def _to_stderr(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
