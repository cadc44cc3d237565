"""Students of several sizes from one search that has measured its candidates without training them alone."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from optimum_ose.configuration import SearchConfig
from optimum_ose.configuration.search import SIZE_BOUNDS, WITHOUT_SHORT_TRAININGS
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.pareto import non_dominated
from optimum_ose.core.results import SearchResult
from optimum_ose.elastic.state import STATE_FILE, kept_state
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError
from optimum_ose.optimizer.settling import is_default_keep
from optimum_ose.optimizer.verbs import Verbs
from optimum_ose.pipeline.distilling import distill_winner
from optimum_ose.pipeline.run import Run
from optimum_ose.pipeline.searching import Searched, search
from optimum_ose.pipeline.stages import use_finished_teacher
from optimum_ose.serialization import canonical_json, digest, plain, read_json, write_atomic

Sizes = int | tuple[int, ...] | Literal["pareto"]
"""How many students, evenly spaced in the logarithm of their size; or at most so many parameters each; or all that no
other candidate beats in size and score."""
RECORD = "students.json"
_NEEDED = ("model.safetensors", "config.json", "onnx/model.onnx")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A candidate that becomes a student."""

    architecture: Architecture
    parameters: int
    """Embeddings included."""
    measured_score: float
    """Of the weights that were measured, on the development rows that measured them."""


def ask(run: Run, changes: Mapping[str, Any]) -> Searched:
    """The answer to another question by what a run has trained and measured; the run's records stay as they are. What
    was not measured as it inherits is measured now.

    Args:
        run: whose search by the method elastic or inherited is finished.
        changes: settings of `SearchConfig` that differ from the run's.

    Raises:
        InfeasibleError: if the bounds leave no candidate.
        InvalidConfigError: if the run's search had another method, or the question needs another training.
    """
    asked = _asked(run, changes)
    if asked.method == "elastic":
        _require_trained(run)
    use_finished_teacher(run)
    return search(run, asked)


def members(optimizer: Verbs, result: SearchResult, sizes: Sizes) -> list[Member]:
    """The candidates to make students of, by ascending size.

    Args:
        optimizer: with the scores of the candidates that `extract` has measured.
        result: of that search; its evaluations are what can be chosen from.
        sizes: how many, how large, or all on the front of size and score.

    Raises:
        InvalidConfigError: if no candidate is as small as a size that is asked for.
    """
    entries = [entry for entry in result.evaluations if entry.architecture in optimizer.measured]
    found = [
        Member(
            architecture=entry.architecture,
            parameters=int(entry.objectives.parameter_size),
            measured_score=optimizer.measured[entry.architecture],
        )
        for entry in entries
    ]
    points = np.array([(one.parameters, -one.measured_score) for one in found], dtype=np.float64)
    front = [found[place] for place in non_dominated(points)]
    if sizes == "pareto":
        return front
    if isinstance(sizes, int):
        logs = np.log([one.parameters for one in front])
        wanted = np.linspace(logs[0], logs[-1], sizes) if sizes > 1 else logs[-1:]
        return [front[place] for place in _spread(logs.tolist(), wanted.tolist())]
    return list(dict.fromkeys(_largest(front, limit) for limit in sorted(sizes)))


def write_students(run: Run, chosen: Sequence[Member], folder: Path, *, distills: bool) -> list[dict[str, Any]]:
    """Write a folder for each student: weights, tokenizer, ONNX files, and its scores as served. Those that were
    finished before are left as they are.

    Args:
        run: after `ask`.
        chosen: which students.
        folder: where their folders are made.
        distills: distill each on its own first, with the run's recipe.

    Returns:
        A record for each; all of them lie in `students.json`, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RECORD
    known: dict[str, Any] = read_json(path) if path.is_file() else {}
    made = {
        "search": run.artifact.dependencies("extract"),
        "export": plain(run.config.export),
        "distillation": plain(run.config.distillation) if distills else None,
    }
    records = []
    for number, member in enumerate(chosen, start=1):
        name = f"{member.parameters}-{digest(dict(member.architecture))[:6]}{'-distilled' * distills}"
        run.optimizer.listener.stage(f"student {number} of {len(chosen)}", None)
        is_whole = all((folder / name / file).is_file() for file in _NEEDED)
        if not is_whole or known.get(name, {}).get("made") != digest(made):
            known[name] = {
                "folder": name,
                "made": digest(made),
                **_write(run, member, folder / name, distills=distills),
            }
            write_atomic(path, canonical_json(known))
        run.optimizer.listener.finish()
        records.append(known[name])
    return records


def _write(run: Run, member: Member, folder: Path, *, distills: bool) -> dict[str, Any]:
    optimizer, rows = run.optimizer, run.rows
    student = optimizer.initialize(member.architecture)
    if distills:
        state = folder.with_name(f".{folder.name}.partial")
        student, _ = distill_winner(run, member.architecture, student, state)
        shutil.rmtree(state, ignore_errors=True)
    optimizer.export(student, folder, run.config.export, calibration_dataset=rows.train)
    metric = optimizer.metric_name(rows.test)
    validation, test = (optimizer.served_scores(folder, split)[metric] for split in (rows.validation, rows.test))
    return {
        "architecture": dict(member.architecture),
        "parameters": member.parameters,
        "metric": metric,
        "validation_score": validation,
        "test_score": test,
        "bytes": sum(file.stat().st_size for file in (folder / "onnx").glob("*.onnx")),
        "distilled": distills,
    }


def _asked(run: Run, changes: Mapping[str, Any]) -> SearchConfig:
    """The settings of the question.

    Raises:
        InvalidConfigError: if the run's training does not answer it.
    """
    trained = run.config.search
    if trained.trains_candidates or run.artifact.stage("extract") is None:
        raise InvalidConfigError(
            f"Further questions are answered by a finished search of the method {' or '.join(WITHOUT_SHORT_TRAININGS)}",
            f"{run.artifact.path} holds {'none' if run.artifact.stage('extract') is None else trained.method}",
            f"Run `ose run` or `ose extract` with search.method {WITHOUT_SHORT_TRAININGS[0]}",
        )
    other = changes.keys() & {*SIZE_BOUNDS, "max_latency_ms", "max_error", "objective"}
    asked = dict(changes)
    if "keep" in changes:
        asked = {"prefer": None, **asked}
    elif changes.get("objective") == "error" or (is_default_keep(trained) and other):
        asked = {"keep": 0.0, "prefer": None, **asked}  # as of a run that was asked so
    found = replace(trained, **asked)
    for name in SIZE_BOUNDS if found.method == "elastic" else ():
        before, now = getattr(trained, name), getattr(found, name)
        if before is not None and (now is None or now > before):
            raise InvalidConfigError(
                f"{name} must be at most {before:,}, with which the shared weights were trained",
                f"{'none' if now is None else format(now, ',')} was asked for",
                "Run `ose run` with the larger bound in another folder",
            )
    return found


def _require_trained(run: Run) -> None:
    """Pass if the shared weights are there: this verb trains nothing.

    Raises:
        OutputFolderError: if they are not.
    """
    kept = kept_state(run.artifact.elastic / STATE_FILE)
    if kept is None or not kept.is_finished:
        raise OutputFolderError(
            f"{run.artifact.elastic} must hold the shared weights of the finished search",
            "they are not there" if kept is None else "their training is not finished",
            "Run `ose extract` with the arguments of this folder: they are trained again",
        )


def _spread(values: list[float], wanted: list[float]) -> list[int]:
    """Places of the values nearest to the wanted ones, each once, ascending; all if more are wanted."""
    free, found = set(range(len(values))), []
    for one in wanted[: len(values)]:
        found.append(min(free, key=lambda place: abs(values[place] - one)))
        free.remove(found[-1])
    return sorted(found)


def _largest(front: Sequence[Member], limit: int) -> Member:
    fitting = [one for one in front if one.parameters <= limit]
    if not fitting:
        raise InvalidConfigError(
            "Every size must admit a candidate",
            f"none has {limit:,} parameters or fewer",
            f"The smallest has {front[0].parameters:,}",
        )
    return fitting[-1]
