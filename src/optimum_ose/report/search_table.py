"""A search result, as `search.json` holds it, as text."""

from collections.abc import Mapping
from typing import Any

from optimum_ose.report.latency_text import prediction_sentence
from optimum_ose.report.table import aligned

_NUM_ROWS = 6


def ranked_candidates(search: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The winner, then the best training of every other architecture, best first; failed trainings are left out."""
    winner = search["winner"]
    best: dict[str, Mapping[str, Any]] = {}
    for item in sorted(search["evaluations"], key=lambda item: item["w"]):
        if not item["failed"] and item["architecture"] != winner["architecture"]:
            best[str(item["architecture"])] = item
    return [winner, *sorted(best.values(), key=lambda item: -item["w"])]


def search_table(search: Mapping[str, Any]) -> str:
    """Winner, runners-up, T, the certificate and, where latency was asked for, what is known of it."""
    latency = [prediction_sentence(search["latency"])] if "latency" in search else []
    return "\n".join([*aligned(search_rows(search)), "", search["certificate"]["statement"], *latency])


def search_rows(search: Mapping[str, Any], *, num_rows: int = _NUM_ROWS) -> list[tuple[str, ...]]:
    """Titles, winner, runners-up, T: axis values, p, i, e and W."""
    axes = list(search["space"]["axes"])
    cost, cost_form = cost_unit(search)
    rows: list[tuple[str, ...]] = [("", *axes, "parameters", cost, "error", score_name(search))]
    for number, item in enumerate(ranked_candidates(search)[:num_rows]):
        objectives = item["objectives"]
        rows.append(
            (
                "winner" if number == 0 else "runner-up",
                *(str(item["architecture"][axis]) for axis in axes),
                f"{objectives['parameter_size']:,.0f}",
                cost_form.format(objectives["inference_cost"]),
                f"{objectives['error']:.4f}",
                f"{item['w']:.4f}",
            )
        )
    size, largest_cost = search["maximum_point"]
    largest = search["space"]["maximum_point"]
    rows.append(
        (
            "T",
            *(str(largest[axis]) for axis in axes),
            f"{size:,.0f}",
            cost_form.format(largest_cost),
            "",
            "0" if score_name(search) == "W" else "",
        )
    )
    return rows


def score_name(search: Mapping[str, Any]) -> str:
    """What the column w holds."""
    return "1 / error" if search["certificate"].get("objective") == "error" else "W"


def cost_unit(search: Mapping[str, Any]) -> tuple[str, str]:
    """Title and format of the inference cost that a search used."""
    if search["settings"].get("inference_cost") == "latency":
        return "predicted ms", "{:,.3g}"
    return "multiply-adds", "{:,.0f}"
