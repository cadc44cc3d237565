"""The report as one HTML page that stands alone: no script, no other file, no network."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from optimum_ose.report.chart import HEIGHT, WIDTH, charts
from optimum_ose.report.examples import answer_told, text_told
from optimum_ose.report.latency_text import prediction_sentence
from optimum_ose.report.search_table import search_rows
from optimum_ose.report.table import comparison_notes, comparison_rows
from optimum_ose.wording import one_line

_NUM_CANDIDATES = 16
_MEASURED = {
    "elastic": "as parts of weights that were trained together",
    "inherited": "as each inherits from the teacher, without training",
}
"""Method -> how it measures candidates that it does not train."""
_MAX_CHARACTERS = 2000
"""Of a text that is shown."""


def build_page(
    search: Mapping[str, Any],
    benchmark: Mapping[str, Any],
    *,
    title: str,
    examples: Sequence[Mapping[str, Any]],
    plot: bytes,
    training: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        search: what `search.json` holds.
        benchmark: what `benchmark.json` holds.
        title: name of the model.
        examples: rows of the test split with the student's answers.
        plot: the Pareto plot, a PNG.
        training: sentences on how teacher and student were trained.
    """
    environment = Environment(
        loader=PackageLoader("optimum_ose.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    certificate = search["certificate"]
    return environment.get_template("page.html").render(
        title=one_line(title),
        statement=certificate["statement"],
        satisfied=certificate["satisfied"],
        violations=len(certificate["violations"]),
        notes=comparison_notes(benchmark),
        comparison=comparison_rows(benchmark),
        candidates=search_rows(search, num_rows=_NUM_CANDIDATES),
        latency=prediction_sentence(search["latency"]) if "latency" in search else "",
        space=search["space"],
        measured=_MEASURED.get(search["settings"].get("method")),
        num_trained=certificate["num_trained"],
        num_evaluations=certificate["num_evaluations"],
        examples=[(text_told(item, limit=_MAX_CHARACTERS), answer_told(item)) for item in examples],
        machine=benchmark["latency"]["machine"],
        training=training,
        charts=charts(search),
        width=WIDTH,
        height=HEIGHT,
        plot=base64.b64encode(plot).decode(),
    )
