"""A search result, as `search.json` holds it, as text."""

from collections.abc import Mapping
from typing import Any

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
    """Winner, runners-up, T and the certificate."""
    axes = list(search["space"]["axes"])
    rows = [("", *axes, "parameters", "multiply-adds", "error", "W")]
    for number, item in enumerate(ranked_candidates(search)[:_NUM_ROWS]):
        objectives = item["objectives"]
        rows.append(
            (
                "winner" if number == 0 else "runner-up",
                *(str(item["architecture"][axis]) for axis in axes),
                f"{objectives['parameter_size']:,.0f}",
                f"{objectives['inference_cost']:,.0f}",
                f"{objectives['error']:.4f}",
                f"{item['w']:.4f}",
            )
        )
    size, cost = search["maximum_point"]
    largest = search["space"]["maximum_point"]
    rows.append(("T", *(str(largest[axis]) for axis in axes), f"{size:,.0f}", f"{cost:,.0f}", "", "0"))
    return "\n".join([*aligned(rows), "", search["certificate"]["statement"]])
