"""Long work is never silent: a line after a few seconds and then every 30, by a clock that the test turns."""

import sys
import threading

import pytest

from optimum_ose.display import BarListener, LineListener, Pulse, default_listener, duration
from optimum_ose.progress import SilentListener, working


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A listener off a terminal, its clock and what it wrote."""

    def __init__(self) -> None:
        self.clock, self.lines = Clock(), list[str]()
        self.listener = LineListener(self.lines.append, clock=self.clock, pulse=False)

    def after(self, seconds: float) -> None:
        self.clock.now += seconds
        self.listener.beat()


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_short_stage_says_nothing(told: Told) -> None:
    told.listener.stage("distill", 700)
    told.after(4.9)
    told.listener.advance(10, "loss 0.5")
    told.listener.finish()
    assert told.lines == []


def test_a_long_stage_says_how_far_it_is_every_thirty_seconds(told: Told) -> None:
    told.listener.stage("distill", 700)
    told.clock.now += 1
    for step in range(1, 121):
        told.listener.advance(step, f"loss {1 / step:.2f}")
        told.clock.now += 1
    told.listener.finish()
    assert told.lines == [
        "distill: 5/700 (1%), loss 0.20, 5 s, about 12 min left",
        "distill: 35/700 (5%), loss 0.03, 35 s, about 11 min left",
        "distill: 65/700 (9%), loss 0.02, 65 s, about 11 min left",
        "distill: 95/700 (14%), loss 0.01, 95 s, about 10 min left",
        "distill: done after 2 min",
    ]


def test_a_stage_that_says_nothing_of_itself_is_known_to_live(told: Told) -> None:
    told.listener.stage("export", None)
    for _ in range(40):
        told.after(1)
    assert told.lines == ["export: at work, 5 s", "export: at work, 35 s"]


def test_the_time_left_of_a_resumed_stage_counts_from_where_it_went_on(told: Told) -> None:
    told.listener.stage("distill", 1_000)
    told.listener.advance(900, "")
    told.clock.now += 10
    told.listener.advance(950, "")
    assert told.lines == ["distill: 950/1,000 (95%), 10 s, about 10 s left"]


def test_an_inner_stage_is_told_until_it_ends(told: Told) -> None:
    with working(told.listener, "benchmark", None):
        told.after(6)
        with working(told.listener, "scoring", 2):
            told.after(6)
        told.after(30)
    told.after(100)
    assert told.lines == [
        "benchmark: at work, 6 s",
        "scoring: at work, 6 s",
        "scoring: done after 6 s",
        "benchmark: at work, 42 s",
        "benchmark: done after 42 s",
    ]


def test_a_stage_that_fails_is_over(told: Told) -> None:
    def fail() -> None:
        told.listener.stage("of a library that does not end it", 3)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), working(told.listener, "export", None):
        fail()
    told.after(100)
    assert told.lines == []


def test_what_should_be_known_is_said_at_once(told: Told) -> None:
    told.listener.say("no validation split: 10% of train is held out")
    assert told.lines == ["no validation split: 10% of train is held out"]


def test_more_ends_than_stages_harm_nobody(told: Told) -> None:
    told.listener.finish()
    told.listener.advance(3, "")
    assert told.lines == []


def test_a_note_stays_on_its_line(told: Told) -> None:
    told.listener.stage("extract", 3)
    told.clock.now += 10
    told.listener.advance(1, "error\n\x1b[31m0.5")
    assert told.lines == ["extract: 1/3 (33%), error \\x1b[31m0.5, 10 s"]


def test_a_pulse_beats_until_it_is_stopped() -> None:
    heard = threading.Event()
    pulse = Pulse(heard.set, interval=0.001)
    pulse.start()
    pulse.start()
    assert heard.wait(timeout=60)
    pulse.stop()
    heard.clear()
    assert not any(thread.name == "ose-progress" for thread in threading.enumerate())
    assert not heard.is_set()


def test_the_thread_ends_with_the_last_stage() -> None:
    listener = LineListener(lambda _: None)
    listener.stage("outer", None)
    listener.stage("inner", 3)
    assert any(thread.name == "ose-progress" for thread in threading.enumerate())
    listener.finish()
    listener.finish()
    assert not any(thread.name == "ose-progress" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99, "99 s"), (100, "2 min"), (3540, "59 min"), (7500, "2 h 5 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_bars_on_a_terminal_lines_elsewhere_silence_in_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(default_listener(), LineListener)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(default_listener(), BarListener)
    monkeypatch.setenv("RANK", "1")
    assert isinstance(default_listener(), SilentListener)


def test_bars_stand_inside_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    listener = BarListener()
    listener.stage("finetune", None)
    listener.stage("scoring", 2)
    listener.advance(1, "f1 0.5")
    listener.say("told")
    listener.finish()
    listener.finish()
    listener.finish()
    assert "told" in capsys.readouterr().err
    assert not any(thread.name == "ose-progress" for thread in threading.enumerate())
