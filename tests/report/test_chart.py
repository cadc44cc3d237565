"""The charts of the report: every candidate is a point that says what it is, and no script is needed."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from test_page import BENCHMARK, SEARCH

from optimum_ose.report.chart import HEIGHT, WIDTH, charts
from optimum_ose.report.page import build_page
from optimum_ose.report.pareto import draw_pareto


def candidate(width: int, error: float | None, *, failed: bool = False) -> dict[str, Any]:
    objectives = {"parameter_size": 100.0 * width, "inference_cost": 10.0 * width, "error": error}
    return {"architecture": {"hidden_size": width}, "objectives": objectives, "w": 1.0, "failed": failed}


WIDTHS = (8, 16, 32)
EVALUATIONS = [candidate(width, 1 / width) for width in WIDTHS]
FOUND: dict[str, Any] = {
    **SEARCH,
    "evaluations": [*EVALUATIONS, candidate(64, None, failed=True)],
    "pareto_front": EVALUATIONS,
    "winner": EVALUATIONS[1],
    "scores": {f"hidden_size={width}": width / 40 for width in WIDTHS},
}


def test_every_candidate_with_an_error_is_a_point_inside_the_chart() -> None:
    found = charts(FOUND)
    assert [chart.title for chart in found] == [
        "score by size",
        "score by multiply-adds",
        "error by size",
        "error by multiply-adds",
    ]
    for chart in found:
        assert len(chart.points) == 3
        assert all(0 < point.x < WIDTH and 0 < point.y < HEIGHT for point in chart.points)
        assert [point.is_winner for point in chart.points].count(True) == 1
        assert any("hidden_size=16" in point.lines[0] for point in chart.points if point.is_winner)
    places = {point.lines[0]: (point.x, point.y) for point in found[0].points}
    assert places["hidden_size=8"][0] < places["hidden_size=16"][0] < places["hidden_size=32"][0]
    assert places["hidden_size=8"][1] > places["hidden_size=32"][1]  # pixels count downwards, the score rises
    assert "score 0.4000" in "".join(line for point in found[0].points for line in point.lines)


def test_without_scores_errors_are_drawn_and_without_candidates_nothing() -> None:
    assert [chart.title for chart in charts({**FOUND, "scores": {}})] == ["error by size", "error by multiply-adds"]
    nothing = candidate(8, None, failed=True)
    assert charts({**SEARCH, "winner": nothing}) == []


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_holds_whole_svg_and_no_script(count: int) -> None:
    search = {**FOUND, "evaluations": EVALUATIONS[:count], "winner": EVALUATIONS[0]}
    page = build_page(search, BENCHMARK, title="a", examples=[], plot=draw_pareto(search))
    drawn = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawn) == 4
    for text in drawn:
        assert len(ET.fromstring(text).findall("circle")) == count
    assert "<script" not in page
    assert page.count('type="radio"') == 4
    assert page.count(" checked>") == 1
