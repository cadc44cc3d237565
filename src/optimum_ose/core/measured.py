"""A search result from candidates that were all measured on the same rows."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.certificate import Certificate, Objective, SampledRows
from optimum_ose.core.objectives import Objectives, relative_savings
from optimum_ose.core.pareto import non_dominated
from optimum_ose.core.results import Evaluation, SearchResult, Theta
from optimum_ose.core.row_errors import RowErrors
from optimum_ose.core.sampled_rows import error_gap_bound, ratio_bound
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError

_NUM_STATEMENTS = 2
"""The statements of a certificate, on W and on the error, share alpha."""


def extract_measured(
    architectures: Sequence[Architecture],
    parameter_size: ArrayLike,
    inference_cost: ArrayLike,
    row_errors: NDArray[np.float64],
    *,
    maximum_point: tuple[float, float],
    epsilon: float = 0.05,
    alpha: float = 0.01,
    objective: Objective = "w-coefficient",
    assumption: Literal["sampled rows", "exhaustive"] = "sampled rows",
    allowed: NDArray[np.bool_] | None = None,
    error_range: tuple[float, float] = (0.0, math.inf),
    weights: str = "",
    theta: Theta | None = None,
    seed: int = 0,
) -> SearchResult:
    """The candidate of highest W among those that were measured, and a certificate for the rows and their population.

    Args:
        architectures: C candidates.
        parameter_size: p, shape (C,).
        inference_cost: i, shape (C,).
        row_errors: error of each candidate on each of the same n rows, shape (C, n); a candidate with NaN or infinity
            failed. No row may have been used in any training.
        maximum_point: (p_T, i_T).
        epsilon: relative shortfall from the best W that is accepted, in (0, 1).
        alpha: accepted probability that the certificate is wrong about the population of the rows, in (0, 0.5).
        objective: "w-coefficient", or "error": the least error.
        assumption: what the ratio is about: "sampled rows": the population; "exhaustive": these rows alone, on which
            the winner is the best. What the rows say about the population is told in both.
        allowed: which candidates may win, shape (C,), by a constraint that does not depend on these rows; the
            certificate speaks of these. None: all.
        error_range: smallest and greatest error that a row can have. Where the greatest is known, comparisons that few
            rows carry are bounded without any assumption on the errors.
        weights: whose errors these are, in words; it stands in the certificate.
        theta: hyperparameters, as the result shows them.
        seed: of the bootstrap.

    Raises:
        InvalidConfigError: if epsilon or alpha is out of range.
        InvalidDataError: if shapes differ, rows are too few, or an error lies outside its range.
        InfeasibleError: if no candidate is allowed and has finite errors.
    """
    _check(epsilon, alpha)
    p, i = np.asarray(parameter_size, dtype=np.float64), np.asarray(inference_cost, dtype=np.float64)
    savings = relative_savings(p, i, maximum_point=maximum_point)
    scored = RowErrors(
        errors=row_errors,
        savings=np.ones_like(savings) if objective == "error" else savings,
        lowest=error_range[0],
        highest=error_range[1],
    )
    among = np.flatnonzero(scored.is_usable if allowed is None else scored.is_usable & allowed)
    if not len(among):
        raise InfeasibleError(
            "At least one candidate is allowed and was measured with finite errors",
            f"none of {len(architectures)} was",
            "Relax the constraints, or look at the messages of the training.",
        )
    winner = int(among[np.lexsort((i[among], p[among], -scored.w[among]))[0]])
    errors = scored.means
    evaluations = [
        Evaluation(
            architecture=architectures[k],
            theta=theta or {},
            objectives=Objectives(float(p[k]), float(i[k]), float(errors[k])),
            w=float(scored.w[k]),
            failed=not math.isfinite(errors[k]),
        )
        for k in range(len(p))
    ]
    front = non_dominated(np.stack([p, i, errors], axis=1))
    return SearchResult(
        architecture=evaluations[winner].architecture,
        theta=evaluations[winner].theta,
        w=evaluations[winner].w,
        objectives=evaluations[winner].objectives,
        evaluations=tuple(evaluations),
        pareto_front=tuple(evaluations[k] for k in front),
        certificate=_certify(
            scored.take(among),
            int(np.searchsorted(among, winner)),
            epsilon=epsilon,
            alpha=alpha,
            objective=objective,
            assumption=assumption,
            weights=weights,
            seed=seed,
        ),
        maximum_point=(float(maximum_point[0]), float(maximum_point[1])),
    )


def _certify(
    sample: RowErrors,
    winner: int,
    *,
    epsilon: float,
    alpha: float,
    objective: Objective,
    assumption: Literal["sampled rows", "exhaustive"],
    weights: str,
    seed: int,
) -> Certificate:
    bound = ratio_bound(sample, winner, alpha=alpha / _NUM_STATEMENTS, target=1 - epsilon, seed=seed)
    gap = error_gap_bound(sample, winner, alpha=alpha / _NUM_STATEMENTS, seed=seed)
    count = len(sample.errors)
    ratio = bound.value if assumption == "sampled rows" else 1.0
    return Certificate(
        assumption=assumption,
        ratio=ratio,
        epsilon=epsilon,
        upper_bound=float(sample.w[winner]) / ratio if ratio > 0 else math.inf,
        noise=0.0,
        alpha=alpha,
        num_evaluations=count,
        num_trained=count,
        num_candidates=count,
        objective=objective,
        weights=weights,
        num_rows=sample.num_rows,
        sample=SampledRows(
            ratio=bound.value,
            method=bound.method,
            error_gap=gap.value if math.isfinite(gap.value) else None,
            rows_needed=bound.rows_needed,
        ),
    )


def _check(epsilon: Any, alpha: Any) -> None:
    for name, value, most in (("epsilon", epsilon, 1), ("alpha", alpha, 0.5)):
        if not 0 < value < most:
            raise InvalidConfigError(
                f"{name} lies in the open interval (0, {most:g})", f"{name}={value} came", f"Change {name}."
            )
