"""What a search and a benchmark know about latency, in one sentence each."""

from collections.abc import Mapping
from typing import Any

from optimum_ose.artifact import input_of


def prediction_sentence(latency: Mapping[str, Any]) -> str:
    """The winner's latency as predicted and measured, and how far the prediction can be trusted; from `search.json`."""
    model, winner = latency["model"], latency["winner"]
    measured = f", {winner['latency_ms']:.3g} ms when measured with random weights" if "latency_ms" in winner else ""
    bound = ""
    if latency["max_latency_ms"] is not None:
        bound = (
            f" max_latency_ms={latency['max_latency_ms']:g} admitted {latency['num_admitted']:,} candidates, with a"
            f" margin of {model['margin']:.1%}."
        )
    if latency["refused"]:
        bound += f" Measured and refused: {len(latency['refused'])}."
    return (
        f"Latency: {winner['predicted_ms']:.3g} ms predicted{measured} ({_conditions(latency['conditions'])}); the"
        f" model was fitted to {model['num_measured']} candidates and missed held-back ones by"
        f" {model['median_error']:.1%} (median) and {model['worst_error']:.1%} (worst)." + bound
    )


def bound_sentence(bound: Mapping[str, Any]) -> str:
    """Whether the finished student keeps `max_latency_ms`; from `benchmark.json`."""
    verdict = "keeps" if bound["kept"] else "MISSES"
    disturbed = bound["num_contended_blocks"]
    return (
        f"The student {verdict} max_latency_ms={bound['max_latency_ms']:g}: {bound['file']} takes"
        f" {bound['measured_ms']:.3g} ms ({_conditions(bound['conditions'])}); {bound['predicted_ms']:.3g} ms were"
        f" predicted."
        + (f" Other processes used the CPU during {disturbed} of the timing blocks." if disturbed else "")
    )


def _conditions(conditions: Mapping[str, Any]) -> str:
    return (
        f"{conditions['precision']}, batch {conditions['batch_size']} x {input_of(conditions)}, "
        f"{conditions['num_threads']} thread(s)"
    )
