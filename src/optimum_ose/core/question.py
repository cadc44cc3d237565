"""The question that a search answers: the candidates that the user allows, scored in p and i."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.candidates import Candidates
from optimum_ose.core.certificate import Objective
from optimum_ose.core.objectives import relative_savings
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InfeasibleError, InvalidArchitectureError

Cost = Callable[[Sequence[Architecture]], ArrayLike]
"""p-hat or i-hat: n architectures -> n positive numbers."""
Predicate = Callable[[Architecture, float, float], Any]
"""A user's constraint: (architecture, p, i) -> whether the candidate is allowed."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """A constraint that is known of all candidates at once: no architecture is made to ask it, so it is for large
    spaces.

    Attributes:
        mask: whether each candidate of the space is allowed, in its order, shape (|Xi|,).
        name: in messages.
    """

    mask: NDArray[np.bool_]
    name: str


_CHUNK = 1 << 16


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The candidates that obey the user's constraints, and all that is known of them without training.

    Attributes:
        candidates: N architectures.
        parameter_size: p, shape (N,).
        inference_cost: i, shape (N,).
        savings: g = (1 - p/p_T)(1 - i/i_T), shape (N,); W = g / e. One throughout where the error is the objective.
        maximum_point: (p_T, i_T).
        max_error: error that a winner may not exceed; infinity: any.
    """

    candidates: Candidates
    parameter_size: NDArray[np.float64]
    inference_cost: NDArray[np.float64]
    savings: NDArray[np.float64]
    maximum_point: tuple[float, float]
    max_error: float = math.inf


def pose_question(
    space: SearchSpace,
    parameter_size: Cost,
    inference_cost: Cost,
    *,
    maximum_point: tuple[float, float] | None,
    constraints: Sequence[Predicate | Admitted],
    max_error: float | None,
    objective: Objective = "w-coefficient",
) -> Question:
    """Score all candidates and drop those that a constraint of the user refuses."""
    if maximum_point is None:
        maximum_point = (
            _costs([space.maximum_point], parameter_size)[0],
            _costs([space.maximum_point], inference_cost)[0],
        )
    p, i = _costs(space.candidates, parameter_size), _costs(space.candidates, inference_cost)
    savings = relative_savings(p, i, maximum_point=maximum_point)
    if objective == "error":
        savings = np.ones_like(savings)
    kept = np.arange(len(p))
    if constraints:
        passes = np.stack([_passing(rule, space, p, i) for rule in constraints], axis=1)
        kept = np.flatnonzero(passes.all(axis=1))
        if not len(kept):
            _refuse_infeasible(constraints, passes, p, i)
    return Question(
        candidates=space.candidates.take(kept),
        parameter_size=p[kept],
        inference_cost=i[kept],
        savings=savings[kept],
        maximum_point=(float(maximum_point[0]), float(maximum_point[1])),
        max_error=math.inf if max_error is None else max_error,
    )


def _costs(candidates: Sequence[Architecture], cost: Cost) -> NDArray[np.float64]:
    parts = []
    for begin in range(0, len(candidates), _CHUNK):
        chunk = candidates[begin : begin + _CHUNK]
        values = np.asarray(cost(chunk), dtype=np.float64)
        if values.shape != (len(chunk),):
            raise InvalidArchitectureError(
                "A cost callable returns one number for each architecture",
                f"shape {values.shape} came for {len(chunk)} architectures",
                "Return an array of shape (n,).",
            )
        parts.append(values)
    return np.concatenate(parts)


def _passing(
    rule: Predicate | Admitted, space: SearchSpace, p: NDArray[np.float64], i: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which candidates a constraint lets pass, shape (|Xi|,)."""
    if not isinstance(rule, Admitted):
        return np.array([bool(rule(*point)) for point in zip(space, p.tolist(), i.tolist(), strict=True)])
    if rule.mask.shape != p.shape:
        raise InvalidArchitectureError(
            f"A mask tells of each of the {len(p):,} candidates whether it is allowed",
            f"shape {rule.mask.shape} came",
            "Make it for `space.candidates`, in their order.",
        )
    return np.asarray(rule.mask, dtype=np.bool_)


def _refuse_infeasible(
    constraints: Sequence[Predicate | Admitted],
    passes: NDArray[np.bool_],
    p: NDArray[np.float64],
    i: NDArray[np.float64],
) -> None:
    counts = passes.sum(axis=0)
    tightest = int(counts.argmin())
    rule = constraints[tightest]
    name = rule.name if isinstance(rule, Admitted) else getattr(rule, "__name__", repr(rule))
    raise InfeasibleError(
        "At least one candidate passes every constraint",
        f"none of {len(p)} does; the tightest, number {tightest + 1} ({name}), lets {counts[tightest]} pass",
        f"The smallest p is {p.min():g} and the smallest i {i.min():g}: relax it to these, or add smaller candidates.",
    )
