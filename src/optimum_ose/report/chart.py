"""Candidates as points of charts that answer to the pointer: SVG and CSS alone, so that the page needs no script."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from optimum_ose.core.architecture import sizes_in_words
from optimum_ose.report.search_table import cost_unit, score_name

WIDTH, HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 15, 15, 45
_NUM_TICKS = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A candidate, in pixels."""

    x: float
    y: float
    is_winner: bool
    lines: tuple[str, ...]
    """What is shown while the pointer rests on it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One view of the candidates."""

    title: str
    x_title: str
    y_title: str
    x_ticks: tuple[tuple[float, str], ...]
    """Place in pixels, and text."""
    y_ticks: tuple[tuple[float, str], ...]
    points: tuple[Point, ...]


def charts(search: Mapping[str, Any]) -> list[Chart]:
    """The views of a search, as `search.json` holds it: score and error by size and cost; none without candidates."""
    candidates = _candidates(search)
    if not candidates:
        return []
    cost = cost_unit(search)[0]
    axes = (("parameters", "parameters"), (cost, "cost"))
    sizes, costs = (_Axis(title, [one[key] for one in candidates], _short, is_log=True) for title, key in axes)
    errors = _Axis("error", [one["error"] for one in candidates], "{:.3f}".format, is_log=True)
    views = [("error by size", sizes, errors), (f"error by {cost}", costs, errors)]
    if all(one["score"] is not None for one in candidates):
        scores = _Axis("score of measured weights", [one["score"] for one in candidates], "{:.3f}".format, is_log=False)
        views = [("score by size", sizes, scores), (f"score by {cost}", costs, scores), *views]
    return [_chart(title, x, y, candidates) for title, x, y in views]


def _candidates(search: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every architecture once, the winner last, so that it is drawn above the others."""
    scores = search.get("scores", {})
    found: dict[str, dict[str, Any]] = {}
    for item in (*search["evaluations"], search["winner"]):
        objectives = item["objectives"]
        if item.get("failed") or not all(isinstance(value, int | float) for value in objectives.values()):
            continue
        name = sizes_in_words(item["architecture"])
        found.pop(name, None)
        found[name] = {
            "name": name,
            "parameters": objectives["parameter_size"],
            "cost": objectives["inference_cost"],
            "error": max(objectives["error"], 1e-9),
            "w": item["w"],
            "score": scores.get(name),
            "w_name": score_name(search),
            "is_winner": item is search["winner"],
        }
    return list(found.values())


def _chart(title: str, x: "_Axis", y: "_Axis", candidates: Sequence[Mapping[str, Any]]) -> Chart:
    points = [
        Point(
            x=round(_LEFT + x.place(number) * (WIDTH - _LEFT - _RIGHT), 1),
            y=round(HEIGHT - _BOTTOM - y.place(number) * (HEIGHT - _TOP - _BOTTOM), 1),
            is_winner=one["is_winner"],
            lines=_lines(one),
        )
        for number, one in enumerate(candidates)
    ]
    return Chart(
        title=title,
        x_title=x.title,
        y_title=y.title,
        x_ticks=tuple((_LEFT + at * (WIDTH - _LEFT - _RIGHT), text) for at, text in x.ticks()),
        y_ticks=tuple((HEIGHT - _BOTTOM - at * (HEIGHT - _TOP - _BOTTOM), text) for at, text in y.ticks()),
        points=tuple(points),
    )


def _lines(one: Mapping[str, Any]) -> tuple[str, ...]:
    score = "" if one["score"] is None else f", score {one['score']:.4f}"
    return (
        one["name"],
        f"{one['parameters']:,.0f} parameters, cost {one['cost']:,.4g}",
        f"error {one['error']:.4f}{score}, {one['w_name']} {one['w']:.4g}",
    )


@final
class _Axis:
    """Places values between 0 and 1."""

    def __init__(self, title: str, values: Sequence[float], form: Callable[[float], str], *, is_log: bool) -> None:
        self.title, self._form, self._is_log = title, form, is_log
        self._values = [math.log(value) if is_log else value for value in values]
        low, high = min(self._values), max(self._values)
        margin = 0.04 * (high - low) or 0.5
        self._low, self._high = low - margin, high + margin

    def place(self, number: int) -> float:
        """Of one of the values."""
        return (self._values[number] - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        """Evenly spaced places and what stands there."""
        places = [step / (_NUM_TICKS - 1) for step in range(_NUM_TICKS)]
        values = [self._low + place * (self._high - self._low) for place in places]
        return [(at, self._form(math.exp(v) if self._is_log else v)) for at, v in zip(places, values, strict=True)]


def _short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"
