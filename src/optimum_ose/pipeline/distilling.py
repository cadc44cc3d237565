"""The stage `distill` of an elastic search: the winner, and others where it misses the share of the teacher's score
that was asked for.
"""

import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from optimum_ose.core.architecture import Architecture, sizes_in_words
from optimum_ose.optimizer.elastic import known_map
from optimum_ose.optimizer.folders import save_as
from optimum_ose.optimizer.keeping import Tried, next_least_share
from optimum_ose.optimizer.students import can_rank
from optimum_ose.pipeline.run import Run, load_model
from optimum_ose.pipeline.searching import search, search_record
from optimum_ose.records import read_search
from optimum_ose.report.training_text import STARTS
from optimum_ose.serialization import canonical_json, read_json, write_atomic

MAX_TRIES = 3
"""Candidates that are distilled to find one that keeps the share. Ours."""
_WORTH_TRYING = 0.8
"""A smaller candidate is tried after one that keeps the share, if it has at most so much of its cost."""
_TRIES = "tries.json"


def distilled_score(run: Run, student: PreTrainedModel, folder: Path) -> float:
    """Distill a student, in place; its score on the development rows."""
    run.optimizer.distill(
        student, run.rows.train, run.config.distillation, unlabeled_dataset=run.rows.unlabeled, checkpoint_folder=folder
    )
    return run.optimizer.score(student, run.rows.validation)


def distill_winner(
    run: Run, architecture: Architecture, measured: PreTrainedModel, folder: Path, *, least_score: float = 0.0
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Distill a candidate of an elastic search from what it inherits alone, and from its measured weights where that
    falls short; the best on the development rows is kept, its measured weights as they are among them.

    Args:
        run: the run.
        architecture: of the candidate.
        measured: its measured weights.
        folder: of checkpoints, to go on after a kill.
        least_score: that is enough on the development rows.
    """
    optimizer, rows = run.optimizer, run.rows.validation
    metric, before = optimizer.metric_name(rows), optimizer.score(measured, rows)
    scores, best, kept = {"extracted": before}, measured, "extracted"
    for start in _starts(run, architecture):
        if start == "inherited":
            student = optimizer.initialize(architecture, calibration_dataset=run.rows.train)
        else:
            student = deepcopy(measured)
        scores[start] = distilled_score(run, student, folder / start)
        if scores[start] >= scores[kept]:
            best, kept = student, start
        optimizer.listener.say(
            f"distilled from {STARTS[start]}: {metric} {scores[start]:.4f} on the development rows; measured weights "
            f"as they are: {before:.4f}"
        )
        if scores[kept] >= least_score:
            break
    return best, {
        "validation_score": scores[kept],
        "metric": metric,
        "extracted_score": before,
        "scores": scores,
        "kept": kept,
    }


def _starts(run: Run, architecture: Architecture) -> tuple[str, ...]:
    """What a candidate is distilled from, in this order. Weights that many candidates share have seen few rows too
    often and end behind what a candidate inherits alone (docs/elastic.md). Where that cannot be ranked and repaired, or
    was measured, only the measured weights are a start.
    """
    own_sizes = run.optimizer.search_space(run.config.search).maximum_point
    if run.config.search.method == "inherited" or not can_rank(known_map(run.optimizer), own_sizes, architecture):
        return ("measured",)
    return ("inherited", "measured")


def distill_until_kept(run: Run, folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Distill candidates until one keeps the share, each chosen by what those before it gained; the preferred one of
    those that keep it, or the one that comes nearest. Its search is left in `choice.json`, unless it is the first.
    """
    artifact, keep = run.artifact, float(run.config.search.keep or 0)
    teacher_score = (artifact.stage("teacher") or {})["validation_score"]
    tries: list[dict[str, Any]] = read_json(folder / _TRIES) if (folder / _TRIES).is_file() else []
    while len(tries) < MAX_TRIES:
        content = read_search(artifact.search)
        if tries:
            if (wanted := _next_share(tries, keep)) is None:
                break
            content = search_record(run.optimizer, search(run, run.config.search, least_share=wanted))
            if not _is_worth_trying(content, tries, keep):
                break
        tries.append(_try(run, content, folder, number=len(tries) + 1, keep=keep, teacher_score=teacher_score))
        write_atomic(folder / _TRIES, canonical_json(tries))
        shutil.rmtree(folder / f"state-{len(tries)}", ignore_errors=True)
    place = _best(tries, keep)
    taken = tries[place]
    if place:
        write_atomic(artifact.choice, canonical_json(taken["search"]))
    told = [{name: one[name] for name in ("architecture", "measured", "finished")} for one in tries]
    return load_model(run, folder / f"try-{place + 1}"), {
        **taken["record"],
        "tries": told,
        "keeps": taken["finished"] >= keep,
    }


def _try(
    run: Run, content: dict[str, Any], folder: Path, *, number: int, keep: float, teacher_score: float
) -> dict[str, Any]:
    """Distill one candidate; what it kept before and after."""
    optimizer, architecture = run.optimizer, Architecture(content["winner"]["architecture"])
    measured = optimizer.initialize(architecture) if number > 1 else load_model(run, run.artifact.extracted)
    state = folder / f"state-{number}"
    student, record = distill_winner(run, architecture, measured, state, least_score=keep * teacher_score)
    save_as(student, optimizer.tokenizer, folder / f"try-{number}", max_length=optimizer.saved_length)
    finished = record["validation_score"] / teacher_score
    optimizer.listener.say(
        f"{sizes_in_words(architecture)} keeps {finished:.1%} of the teacher's "
        f"{record['metric']} on the development rows, after {record['extracted_score'] / teacher_score:.1%} as measured"
    )
    return {
        "architecture": dict(architecture),
        "measured": content["keep"]["chosen"]["share"],
        "finished": finished,
        "record": record,
        "search": content,
    }


def _next_share(tries: Sequence[Mapping[str, Any]], keep: float) -> float | None:
    """The share that the next candidate's measured weights must have; None: there is no reason to go on."""
    found = [Tried(measured=one["measured"], finished=one["finished"]) for one in tries]
    prefer = tries[-1]["search"]["keep"]["prefer"]
    if prefer == "w" and any(one.finished >= keep for one in found):
        return None
    return next_least_share(keep, found)


def _is_worth_trying(content: Mapping[str, Any], tries: Sequence[Mapping[str, Any]], keep: float) -> bool:
    """Whether a candidate is another one than those before, and much cheaper than the cheapest that keeps the share."""
    if any(dict(content["winner"]["architecture"]) == one["architecture"] for one in tries):
        return False
    kept = [_cost(one["search"]) for one in tries if one["finished"] >= keep]
    return not kept or _cost(content) <= _WORTH_TRYING * min(kept)


def _best(tries: Sequence[Mapping[str, Any]], keep: float) -> int:
    kept = [place for place, one in enumerate(tries) if one["finished"] >= keep]
    if not kept:
        return max(range(len(tries)), key=lambda place: tries[place]["finished"])
    return min(kept, key=lambda place: _cost(tries[place]["search"]))


def _cost(content: Mapping[str, Any]) -> float:
    """What the preferred candidate has least of."""
    winner, prefer = content["winner"], content["keep"]["prefer"]
    costs = {"size": "parameter_size", "latency": "inference_cost"}
    return float(winner["objectives"][costs[prefer]] if prefer in costs else -winner["w"])
