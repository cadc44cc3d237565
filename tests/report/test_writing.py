"""A report is written of whatever a folder holds, or refused in words."""

import json
import logging
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimum_ose.artifact import OSEArtifact
from optimum_ose.commands.summary import print_summary
from optimum_ose.exceptions import OSEError
from optimum_ose.report.page import build_page
from optimum_ose.report.pareto import draw_pareto
from optimum_ose.report.writing import write_report
from report.test_page import BENCHMARK, SEARCH

NASTY = "<img src=x onerror=alert(3)> [l](javascript:1) {{7}} | \x1b[31m\u202e --- \n# x"


def finished(
    path: Path, *, request: dict[str, Any] | None = None, example: Any = "a text", **changes: Any
) -> OSEArtifact:
    """The records of a finished run."""
    trained = {**SEARCH["winner"], "theta": {}, "failed": False}
    search = {**SEARCH, "winner": trained, "evaluations": [trained], "pareto_front": [trained]}
    search["certificate"] = {**SEARCH["certificate"], "num_candidates": 4}
    search["space"] = {**SEARCH["space"], "num_architectures": 2}
    examples = [{"text": example, "gold": example, "label": example, "score": 0.5}]
    records = {
        "run": {
            "question": {"task": "text-classification", "config": {}},
            "request": request or {},
            "stages": {"benchmark": {"examples": examples, "seconds": 1.0}},
        },
        "search": search,
        "benchmark": {**BENCHMARK, "label_names": ["bad", "good"], **changes},
    }
    (path / "ose").mkdir(exist_ok=True)
    for name, content in records.items():
        (path / "ose" / f"{name}.json").write_text(json.dumps(content))
    return OSEArtifact(path)


@pytest.mark.parametrize("name", ["push_to_hub", "base_model", "dataset_id"])
def test_an_id_that_is_none_of_the_hub_strands_no_folder(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = finished(tmp_path, request={name: "bad id!!"})
    with caplog.at_level(logging.WARNING):
        write_report(artifact)
    assert "bad id" not in artifact.card.read_text()
    assert f"`{name}` in ose/run.json must be a Hub id" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"emissions\nmuch\n", b"emissions\n-1\n", b"\0"])
def test_emissions_of_something_else_are_left_out_with_a_word(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = finished(tmp_path)
    artifact.emissions.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        write_report(artifact)
    assert "## Emissions" not in artifact.card.read_text()
    assert "The card tells no emissions" in caplog.text


def test_a_summary_obeys_no_control_character(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(finished(tmp_path, example=NASTY, default_reason=NASTY))
    printed = capsys.readouterr().out
    assert "<img src=x" in printed
    assert not [letter for letter in printed if letter != "\n" and not letter.isprintable()]


class Elements(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(f"{name}={value}" for name, value in attrs)))


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.sampled_from("<>&\"'/=!-[]() aimgsrcx\n\x1b"), max_size=30).map(lambda text: NASTY + text))
def test_no_text_becomes_an_element_of_the_page(text: str) -> None:
    def elements(value: str) -> list[tuple[str, tuple[str, ...]]]:
        example = {"text": value, "text_pair": value, "label": value, "gold": value, "score": None}
        machine = {"cpu": value, "libraries": {value: value}}
        benchmark = {**BENCHMARK, "default_reason": value, "latency": {**BENCHMARK["latency"], "machine": machine}}
        certificate = {**SEARCH["certificate"], "statement": value}
        space = {**SEARCH["space"], "constraints": [value]}
        search = {**SEARCH, "certificate": certificate, "space": space}
        return Elements(build_page(search, benchmark, title=value, examples=[example], plot=b"")).found

    assert elements(text) == elements("plain")


VALUES = st.sampled_from([None, "text", NASTY, -1, 0, 1e400, True, [], {}, [None], {"a": "b"}])
PLACES = [
    (name, *keys)
    for name, record in (("benchmark", BENCHMARK), ("search", SEARCH))
    for key, value in record.items()
    for keys in ([(key,)] + ([(key, inner) for inner in value] if isinstance(value, dict) else []))
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_a_record_with_any_value_anywhere_makes_a_report_or_one_short_message(
    place: tuple[str, ...], value: Any, tmp_path: Path
) -> None:
    artifact = finished(tmp_path)
    path = artifact.path / "ose" / f"{place[0]}.json"
    record = json.loads(path.read_text())
    target = record
    for key in place[1:-1]:
        target = target[key]
    target[place[-1]] = value
    path.write_text(json.dumps(record))
    message = ""
    try:
        write_report(artifact)
        print_summary(artifact)
    except OSEError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert len(message) < 1600


@pytest.mark.parametrize("assumption", [NASTY, "\x1b[31m", "$x^{", "漢字 \U0001f600", "a" * 10_000])
def test_the_plot_draws_any_text_of_a_record(assumption: str) -> None:
    certificate = {**SEARCH["certificate"], "assumption": assumption}
    best = {**SEARCH["winner"], "theta": {}, "failed": False}
    search = {**SEARCH, "certificate": certificate, "evaluations": [best], "pareto_front": [best]}
    search["space"] = {**SEARCH["space"], "num_architectures": 2}
    assert draw_pareto(search, dpi=50).startswith(b"\x89PNG")
