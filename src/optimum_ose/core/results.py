"""Owns the records that a search returns: its evaluations and its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from optimum_ose.core.architecture import Architecture, sizes_in_words
from optimum_ose.core.certificate import Certificate
from optimum_ose.core.objectives import Objectives

Theta = Mapping[str, Any]
"""One set of training hyperparameters."""

_NUM_RUNNERS_UP = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A trained candidate.

    Attributes:
        architecture: the candidate.
        theta: the hyperparameters it was trained with.
        objectives: its p, i and e; e is NaN or infinite if the training failed.
        w: its W-coefficient, or 1 / e where the error is the objective; zero if the training failed.
        num_trainings: trainings whose errors are averaged in e: 1 in the record of a single training.
        failed: whether the training failed.
    """

    architecture: Architecture
    theta: Theta
    objectives: Objectives
    w: float
    num_trainings: int = 1
    failed: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The answer of `extract`: an (untrained) architecture, and what is known about it.

    Attributes:
        architecture: the winner.
        theta: the hyperparameters with which it did best.
        w: its W-coefficient, or 1 / e where the error is the objective.
        objectives: its p, i and e; e is the mean over its replicates.
        evaluations: every training, in order.
        pareto_front: the trained candidates that no other one beats in p, i and e at once, by ascending p.
        certificate: how close to the best of the search space the winner is proven to be.
        maximum_point: (p_T, i_T), the reference of W.
    """

    architecture: Architecture
    theta: Theta
    w: float
    objectives: Objectives
    evaluations: tuple[Evaluation, ...]
    pareto_front: tuple[Evaluation, ...]
    certificate: Certificate
    maximum_point: tuple[float, float]

    def __str__(self) -> str:
        ranked = sorted(
            (entry for entry in self.evaluations if entry.architecture != self.architecture and not entry.failed),
            key=lambda entry: -entry.w,
        )
        others = list({entry.architecture: entry for entry in reversed(ranked)}.values())[::-1][:_NUM_RUNNERS_UP]
        heading, of_maximum_point = ("W", "0") if self.certificate.objective != "error" else ("1 / e", "")
        rows = [
            ("", heading, "p", "i", "e", "architecture"),
            _row("winner", self.w, self.objectives, self.architecture),
            *(_row("runner-up", entry.w, entry.objectives, entry.architecture) for entry in others),
            ("T", of_maximum_point, *map(_number, self.maximum_point), "", "maximum point"),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
        lines = [
            "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
        ]
        return "\n".join([*lines, self.certificate.statement])


def _row(role: str, w: float, objectives: Objectives, architecture: Architecture) -> tuple[str, ...]:
    values = (w, objectives.parameter_size, objectives.inference_cost, objectives.error)
    return (role, *map(_number, values), sizes_in_words(architecture))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
