"""Owns `extract`: optimal subarchitecture extraction by the certified, the published stride, or the exhaustive method."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.results import Evaluation, SearchResult, Theta
from optimum_ose.core.search_space import SearchSpace

Cost = Callable[[Sequence[Architecture]], ArrayLike]
"""p-hat or i-hat: n architectures -> n positive numbers."""
ErrorFunction = Callable[[Architecture, Theta], float]
"""e-hat: trains a candidate with one theta and returns its error; NaN or infinity if that failed."""
Predicate = Callable[[Architecture, float, float], Any]
"""A user's constraint: (architecture, p, i) -> whether the candidate is allowed."""


def extract(
    space: SearchSpace,
    *,
    parameter_size: Cost,
    inference_cost: Cost,
    error: ErrorFunction,
    hyperparameters: Sequence[Theta] = ({},),
    maximum_point: tuple[float, float] | None = None,
    epsilon: float = 0.05,
    method: Literal["certified", "stride", "exhaustive"] = "certified",
    interval_size: int = 1,
    noise: float | None = None,
    constraints: Sequence[Predicate] = (),
    max_error: float | None = None,
    max_evaluations: int | None = None,
    seed: int = 0,
    alpha: float = 0.01,
    on_evaluation: Callable[[Evaluation], None] | None = None,
) -> SearchResult:
    raise NotImplementedError
