"""The candidate to take among those that keep a share of the teacher's score, and what its neighbors cost and bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.keep import Kept, ScoreParts, keepers
from optimum_ose.core.keep_question import require_share
from optimum_ose.core.pareto import non_dominated
from optimum_ose.exceptions import InfeasibleError

Array = NDArray[np.float64]
Preference = Literal["size", "latency", "w"]
"""What is least (size, latency) or highest (w) among the candidates that keep the share."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A candidate as a user may take it.

    Attributes:
        architecture: the candidate.
        parameter_size: p, parameters.
        inference_cost: i, in the unit of the search.
        share: score over the teacher's, on these rows.
        shown: whether it was shown to keep the share that was asked for.
    """

    architecture: Architecture
    parameter_size: float
    inference_cost: float
    share: float
    shown: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeepChoice:
    """What was chosen, and what the neighbors on the front of cost and score would cost and bring.

    Attributes:
        keep: the share asked for.
        prefer: what is least or highest among those that keep it.
        alpha: accepted probability that any candidate that was shown keeps less.
        num_rows: rows of the sample.
        num_shown: candidates that were shown to keep it.
        num_candidates: candidates that were measured.
        chosen: the candidate to take.
        smaller: of the cheaper ones the one with the highest score; None: there is none.
        better: of those with a higher score the cheapest; None: there is none.
    """

    keep: float
    prefer: Preference
    alpha: float
    num_rows: int
    num_shown: int
    num_candidates: int
    chosen: Option
    smaller: Option | None
    better: Option | None

    @property
    def statement(self) -> str:
        """The choice in words."""
        told = [
            f"{_named(self.chosen)} keeps at least {self.keep:.1%} of the teacher's score with probability "
            f"{1 - self.alpha:.0%} ({self.chosen.share:.1%} on {self.num_rows:,} rows; {self.num_shown} of "
            f"{self.num_candidates} candidates do)"
        ]
        for other, word in ((self.smaller, "cheaper"), (self.better, "better")):
            if other is None:
                told.append(f"None is {word}")
                continue
            size = other.parameter_size / self.chosen.parameter_size - 1
            cost = other.inference_cost / self.chosen.inference_cost - 1
            kept = "" if other.shown else ", not shown to keep it"
            told.append(
                f"The next {word} one, {_named(other)}, has {size:+.1%} parameters and {cost:+.1%} inference cost, and "
                f"{other.share:.1%} of the teacher's score{kept}"
            )
        return ". ".join(told)


def choose(
    parts: ScoreParts,
    architectures: Sequence[Architecture],
    parameter_size: Array,
    inference_cost: Array,
    w: Array,
    *,
    keep: float,
    prefer: Preference = "size",
    alpha: float = 0.05,
    seed: int = 0,
) -> KeepChoice:
    """The candidate that is preferred among those that keep a share of the teacher's score with confidence 1 - alpha.

    Args:
        parts: of the scores of teacher and C candidates on the same rows.
        architectures: the candidates.
        parameter_size: p, shape (C,).
        inference_cost: i, shape (C,).
        w: W, shape (C,), which may depend on the same rows.
        keep: share of the teacher's score, in (0, 1].
        prefer: what is least or highest.
        alpha: accepted probability that any candidate is taken to keep the share that does not.
        seed: of the bootstrap.

    Raises:
        InvalidConfigError: if keep is out of range.
        InfeasibleError: if no candidate was shown to keep the share; it names the nearest, and tells how many rows
            would do.
    """
    require_share(keep)
    costs = {"size": (inference_cost, parameter_size), "latency": (parameter_size, inference_cost)}
    order = np.lexsort(costs[prefer]) if prefer in costs else np.argsort(-w, kind="stable")
    found = keepers(parts, keep, alpha=alpha, sequence=None if prefer == "w" else order, seed=seed)
    wanted = order[found.shown[order]]
    if not len(wanted):
        _refuse(found, architectures)

    def option(k: int) -> Option:
        return Option(
            architecture=architectures[k],
            parameter_size=float(parameter_size[k]),
            inference_cost=float(inference_cost[k]),
            share=float(found.shares[k]),
            shown=bool(found.shown[k]),
        )

    chosen = int(wanted[0])
    cost = inference_cost if prefer == "latency" else parameter_size
    smaller, better = _neighbors(cost, found.shares, chosen)
    return KeepChoice(
        keep=keep,
        prefer=prefer,
        alpha=alpha,
        num_rows=found.num_rows,
        num_shown=int(found.shown.sum()),
        num_candidates=len(architectures),
        chosen=option(chosen),
        smaller=None if smaller is None else option(smaller),
        better=None if better is None else option(better),
    )


def _neighbors(cost: Array, shares: Array, chosen: int) -> tuple[int | None, int | None]:
    """The cheaper candidate with the highest score, and the cheapest with a higher score, on the front of both."""
    front = non_dominated(np.stack([cost, -shares], axis=1))
    cheaper, higher = front[cost[front] < cost[chosen]], front[shares[front] > shares[chosen]]
    return (int(cheaper[-1]) if len(cheaper) else None), (int(higher[0]) if len(higher) else None)


def _refuse(found: Kept, architectures: Sequence[Architecture]) -> NoReturn:
    nearest = int(np.argmax(found.shares))
    share, name = float(found.shares[nearest]), ", ".join(f"{k}={v}" for k, v in architectures[nearest].items())
    if found.rows_needed is None:
        remedy = f"Lower keep below {share:.3f}, relax the bounds on size and latency, or train longer."
    else:
        remedy = f"Give about {found.rows_needed:,} development rows, lower keep, or relax the bounds."
    raise InfeasibleError(
        f"At least one candidate is shown to keep {found.keep:.1%} of the teacher's score with probability "
        f"{1 - found.alpha:.0%}",
        f"the nearest of {len(architectures)} has {share:.1%} of it on {found.num_rows:,} rows ({name})",
        remedy,
    )


def _named(option: Option) -> str:
    return ", ".join(f"{axis}={value}" for axis, value in option.architecture.items())
