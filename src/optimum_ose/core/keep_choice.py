"""The candidate to take among those that keep a share of the teacher's score, and what its neighbors cost and bring."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture, sizes_in_words
from optimum_ose.core.certificate import Certificate, Objective
from optimum_ose.core.pareto import non_dominated
from optimum_ose.core.results import Evaluation, SearchResult
from optimum_ose.exceptions import InfeasibleError

Preference = Literal["size", "latency", "w"]
"""What is least (size, latency) or highest (w) among the candidates that keep the share."""

_OBJECTIVES: Mapping[Preference, Objective] = {"size": "size", "latency": "cost", "w": "w-coefficient"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A candidate as a user may take it.

    Attributes:
        architecture: the candidate.
        parameter_size: p, parameters.
        inference_cost: i, in the unit of the search.
        share: score over the teacher's, of the weights that were measured.
    """

    architecture: Architecture
    parameter_size: float
    inference_cost: float
    share: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeepChoice:
    """What was chosen, and what the neighbors on the front of cost and score would cost and bring.

    Attributes:
        keep: share of the teacher's score that the finished student must keep.
        least_share: share that a candidate's measured weights must have; they gain from the distillation that follows.
        prefer: what is least or highest among those that have it.
        teacher_score: on the same rows.
        num_kept: candidates that have it.
        num_candidates: candidates that were measured.
        chosen: the candidate to take; without one that has the share, the one that comes nearest.
        smaller: of the cheaper ones the one with the highest score; None: there is none.
        better: of those with a higher score the cheapest; None: there is none.
    """

    keep: float
    least_share: float
    prefer: Preference
    teacher_score: float
    num_kept: int
    num_candidates: int
    chosen: Option
    smaller: Option | None
    better: Option | None

    @property
    def statement(self) -> str:
        """The choice in words, of the weights as they were measured."""
        kept = f"{self.num_kept} of {self.num_candidates} candidates have at least {self.least_share:.1%} of the "
        found = [
            f"As measured, before they were distilled on their own, {kept}teacher's score; "
            f"{sizes_in_words(self.chosen.architecture)} has {self.chosen.share:.1%}"
        ]
        for other, word in ((self.smaller, "cheaper"), (self.better, "better")):
            if other is None:
                found.append(f"None is {word}")
                continue
            name = sizes_in_words(other.architecture)
            size = other.parameter_size / self.chosen.parameter_size - 1
            cost = other.inference_cost / self.chosen.inference_cost - 1
            found.append(
                f"The next {word} one, {name}, has {size:+.1%} parameters, {cost:+.1%} inference cost, and "
                f"{other.share:.1%} of the teacher's score"
            )
        return ". ".join(found)


def choose(
    found: SearchResult,
    scores: Mapping[Architecture, float],
    *,
    teacher_score: float,
    keep: float,
    least_share: float,
    prefer: Preference,
    max_error: float | None = None,
) -> tuple[SearchResult, KeepChoice]:
    """The candidate that is preferred among those whose measured weights have a share of the teacher's score.

    Args:
        found: of a search by measured candidates.
        scores: of the candidates with finite errors, on the same rows.
        teacher_score: of the teacher on these rows, > 0.
        keep: share that the finished student must keep.
        least_share: share that a candidate's weights must have as they were measured.
        prefer: what is least or highest.
        max_error: error that no candidate may exceed.

    Returns:
        The result with this winner, its evaluations those of the candidates that have the share; and the choice. Its
        certificate is about these candidates; where none has the share, nothing is proven.

    Raises:
        InfeasibleError: if no candidate has a score and an error within the bound.
    """
    entries = _entries(found, scores, max_error)
    shares = np.array([scores[entry.architecture] / teacher_score for entry in entries])
    kept = np.flatnonzero(shares >= least_share)
    members = kept if len(kept) else np.array([int(np.argmax(shares))])
    place = int(min(members, key=lambda k: (*_preference(entries[k], prefer), -shares[k])))
    chosen = entries[place]
    result = replace(
        found,
        architecture=chosen.architecture,
        theta=chosen.theta,
        w=chosen.w,
        objectives=chosen.objectives,
        evaluations=tuple(entries[k] for k in members),
        certificate=_certificate(
            found.certificate, chosen, prefer, num_kept=len(kept), num_measured=len(entries), least_share=least_share
        ),
    )
    smaller, better = _neighbors(np.array([_cost(entry, prefer) for entry in entries]), shares, place)
    return result, KeepChoice(
        keep=keep,
        least_share=least_share,
        prefer=prefer,
        teacher_score=teacher_score,
        num_kept=len(kept),
        num_candidates=len(entries),
        chosen=_option(chosen, shares[place]),
        smaller=None if smaller is None else _option(entries[smaller], shares[smaller]),
        better=None if better is None else _option(entries[better], shares[better]),
    )


def _entries(found: SearchResult, scores: Mapping[Architecture, float], max_error: float | None) -> list[Evaluation]:
    """The candidates that can be chosen.

    Raises:
        InfeasibleError: if there are none.
    """
    limit = math.inf if max_error is None else max_error
    entries = [
        entry
        for entry in found.evaluations
        if not entry.failed and entry.architecture in scores and entry.objectives.error <= limit
    ]
    if not entries:
        bound = f" and an error of at most {limit:g}" if math.isfinite(limit) else ""
        raise InfeasibleError(
            f"At least one candidate was measured with a finite score{bound}",
            f"none of {len(found.evaluations)} was",
            "Look at the messages of the training, or raise the bound on the error.",
        )
    return entries


def _certificate(
    found: Certificate,
    chosen: Evaluation,
    prefer: Preference,
    *,
    num_kept: int,
    num_measured: int,
    least_share: float,
) -> Certificate:
    """About the candidates that have the share; where there are none, it proves nothing."""
    ratio = _ratio(found, chosen, prefer) if num_kept else 0.0
    share = f"at least {least_share:.1%} of the teacher's score"
    return replace(
        found,
        ratio=ratio,
        upper_bound=chosen.w / ratio if ratio else math.inf,
        num_candidates=num_kept or num_measured,
        objective=_OBJECTIVES[prefer],
        among=f"whose measured weights have {share}" if num_kept else f"none of them has {share} as measured",
        violations=(),
    )


def _option(entry: Evaluation, share: float) -> Option:
    return Option(
        architecture=entry.architecture,
        parameter_size=entry.objectives.parameter_size,
        inference_cost=entry.objectives.inference_cost,
        share=float(share),
    )


def _ratio(certificate: Certificate, chosen: Evaluation, prefer: Preference) -> float:
    """What is proven of the chosen one: all, where every candidate was measured; else what the bound on W says."""
    if certificate.assumption == "exhaustive":
        return 1.0
    bound = certificate.upper_bound
    return min(chosen.w / bound, 1.0) if prefer == "w" and 0 < bound < math.inf else 0.0


def _preference(entry: Evaluation, prefer: Preference) -> tuple[float, float, float]:
    p, i = entry.objectives.parameter_size, entry.objectives.inference_cost
    return {"size": (p, i, -entry.w), "latency": (i, p, -entry.w), "w": (-entry.w, p, i)}[prefer]


def _cost(entry: Evaluation, prefer: Preference) -> float:
    return entry.objectives.inference_cost if prefer == "latency" else entry.objectives.parameter_size


def _neighbors(costs: NDArray[np.float64], shares: NDArray[np.float64], chosen: int) -> tuple[int | None, int | None]:
    """The cheaper candidate with the highest score, and the cheapest with a higher score, on the front of both."""
    front = non_dominated(np.stack([costs, -shares], axis=1))
    cheaper, higher = front[costs[front] < costs[chosen]], front[shares[front] > shares[chosen]]
    return (int(cheaper[-1]) if len(cheaper) else None), (int(higher[0]) if len(higher) else None)
