"""Owns the certificate: how close to the best candidate a winner is proven to be, and under which assumption."""

from dataclasses import dataclass
from typing import Literal, final

from optimum_ose.core.architecture import Architecture

Assumption = Literal["exhaustive", "monotone", "surrogate"]
Objective = Literal["w-coefficient", "error"]
"""What a search makes best: the highest W, or the least error that the constraints allow."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An observation against the monotone assumption: a larger candidate was measured worse than a smaller one.

    Attributes:
        smaller: the candidate with the lower error.
        larger: a candidate that is at least as large in every axis; of several, the one with the highest error.
        excess: relative excess of the larger one's error, e(larger) / e(smaller) - 1.
    """

    smaller: Architecture
    larger: Architecture
    excess: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a search has proven about its winner.

    Attributes:
        assumption: what the bound rests on. "exhaustive": nothing, every candidate was trained; "monotone": none is
            more accurate than one at least as large in every axis; "surrogate": the surrogate's intervals hold.
        ratio: lower bound of W(winner) / max W over the search space, in [0, 1]; of min e / e(winner) where the error
            is the objective.
        epsilon: the relative shortfall that the user accepts.
        upper_bound: bound U on W over the search space, so that W(winner) >= ratio * U; on 1 / e likewise.
        noise: relative standard deviation of the error that the bound allows for; zero if it was taken as exact.
        alpha: accepted probability that a bound which rests on noise or surrogate fails.
        num_evaluations: calls of the error, replicates and failures included.
        num_trained: candidates that were trained.
        num_candidates: candidates of the search space that obey the user's constraints.
        violations: observations against the monotone assumption, at most one per smaller candidate.
        objective: what the winner is best in.
    """

    assumption: Assumption
    ratio: float
    epsilon: float
    upper_bound: float
    noise: float
    alpha: float
    num_evaluations: int
    num_trained: int
    num_candidates: int
    violations: tuple[Violation, ...] = ()
    objective: Objective = "w-coefficient"

    @property
    def satisfied(self) -> bool:
        """Whether the ratio reaches 1 - epsilon."""
        return self.ratio >= 1 - self.epsilon

    @property
    def statement(self) -> str:
        """The certificate in one sentence."""
        verdict = "satisfied" if self.satisfied else "NOT satisfied"
        proven = f"nothing is proven about the best of {self.num_candidates} candidates"
        if self.ratio > 0 and self.objective == "error":
            proven = f"the least error of {self.num_candidates} candidates is at least {self.ratio:.1%} of the winner's"
        elif self.ratio > 0:
            proven = f"W of the winner is at least {self.ratio:.1%} of the best of {self.num_candidates} candidates"
        basis = {
            "exhaustive": "every candidate was trained",
            "monotone": "no network is more accurate than one larger in every axis",
            "surrogate": "the error surrogate's intervals hold",
        }[self.assumption]
        chance = f" with probability {1 - self.alpha:.0%}" if self.noise > 0 or self.assumption == "surrogate" else ""
        noise = f"noise {self.noise:.2%}" if self.noise > 0 else "errors taken as exact"
        return (
            f"{proven}{chance} ({verdict} for epsilon = {self.epsilon:g}; assumption: {basis}; {noise}; "
            f"{self.num_evaluations} evaluations of {self.num_trained} candidates)"
        )
