"""A search result from candidates that were all measured on the same rows."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.certificate import Certificate, Objective, SampledRows
from optimum_ose.core.objectives import ERROR_FLOOR, Objectives, relative_savings
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
    error_range: tuple[float, float] = (0.0, math.inf),
    error_floor: float = ERROR_FLOOR,
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
        error_range: smallest and greatest error that a row can have. Where the greatest is known, comparisons that few
            rows carry are bounded without any assumption on the errors.
        error_floor: smallest error that a candidate is credited with.
        weights: whose errors these are, in words; it stands in the certificate.
        theta: hyperparameters, as the result shows them.
        seed: of the bootstrap.

    Raises:
        InvalidConfigError: if epsilon or alpha is out of range.
        InvalidDataError: if shapes differ, rows are too few, or an error lies outside its range.
        InfeasibleError: if no candidate has finite errors.
    """
    _check(epsilon, alpha)
    p, i = np.asarray(parameter_size, dtype=np.float64), np.asarray(inference_cost, dtype=np.float64)
    savings = relative_savings(p, i, maximum_point=maximum_point)
    savings = np.ones_like(savings) if objective == "error" else savings
    lowest, highest = error_range
    sample = RowErrors(errors=row_errors, savings=savings, lowest=lowest, highest=highest, floor=error_floor)
    evaluations = _evaluations(architectures, p, i, sample, theta or {})
    among = np.flatnonzero(sample.is_usable)
    if not len(among):
        raise InfeasibleError(
            "At least one candidate was measured with finite errors",
            f"none of {len(architectures)} was",
            "Look at the messages of the training.",
        )
    winner = int(among[np.lexsort((i[among], p[among], -sample.w[among]))[0]])
    chosen, num_rows = evaluations[winner], sample.num_rows
    rows = describe_rows(sample, winner, epsilon=epsilon, alpha=alpha, seed=seed)
    ratio = rows.ratio if assumption == "sampled rows" else 1.0
    return SearchResult(
        architecture=chosen.architecture,
        theta=chosen.theta,
        w=chosen.w,
        objectives=chosen.objectives,
        evaluations=evaluations,
        pareto_front=tuple(evaluations[k] for k in non_dominated(np.stack([p, i, sample.means], axis=1))),
        certificate=Certificate(
            assumption=assumption,
            ratio=ratio,
            epsilon=epsilon,
            upper_bound=chosen.w / ratio if ratio > 0 else math.inf,
            noise=0.0,
            alpha=alpha,
            num_evaluations=len(p),
            num_trained=len(p),
            num_candidates=len(among),
            objective=objective,
            weights=weights,
            num_rows=num_rows,
            sample=rows,
        ),
        maximum_point=(float(maximum_point[0]), float(maximum_point[1])),
    )


def describe_rows(sample: RowErrors, winner: int, *, epsilon: float, alpha: float, seed: int = 0) -> SampledRows:
    """What a sample of rows says about the winner in its population; the two statements hold together.

    Args:
        sample: errors of all candidates that the statements are about; a failed one is no rival.
        winner: which candidate was chosen.
        epsilon: shortfall for which to tell how many rows would be needed.
        alpha: accepted probability that either statement fails.
        seed: of the bootstrap.
    """
    ratio = ratio_bound(sample, winner, alpha=alpha / _NUM_STATEMENTS, target=1 - epsilon, seed=seed)
    gap = error_gap_bound(sample, winner, alpha=alpha / _NUM_STATEMENTS, seed=seed)
    return SampledRows(
        ratio=ratio.value,
        method=ratio.method,
        error_gap=gap.value if math.isfinite(gap.value) else None,
        rows_needed=ratio.rows_needed,
    )


def with_sampled_rows(
    result: SearchResult,
    row_errors: NDArray[np.float64],
    *,
    error_range: tuple[float, float] = (0.0, math.inf),
    error_floor: float = ERROR_FLOOR,
    weights: str = "",
    seed: int = 0,
) -> SearchResult:
    """An exhaustive search's result, whose certificate also says what its rows say about all rows like these.

    Args:
        result: of a search that measured every candidate once, on the same rows.
        row_errors: shape (C, n), in the order of `result.evaluations`; as in `extract_measured`.
        error_range: as in `extract_measured`.
        error_floor: as in `extract_measured`.
        weights: whose errors these are, in words.
        seed: of the bootstrap.

    Raises:
        InvalidDataError: if shapes differ, rows are too few, or an error lies outside its range.
    """
    certificate = result.certificate
    savings = np.ones(len(result.evaluations))
    if certificate.objective == "w-coefficient":
        costs = np.array([(e.objectives.parameter_size, e.objectives.inference_cost) for e in result.evaluations])
        savings = relative_savings(costs[:, 0], costs[:, 1], maximum_point=result.maximum_point)
    lowest, highest = error_range
    sample = RowErrors(errors=row_errors, savings=savings, lowest=lowest, highest=highest, floor=error_floor)
    winner = [entry.architecture for entry in result.evaluations].index(result.architecture)
    rows = describe_rows(sample, winner, epsilon=certificate.epsilon, alpha=certificate.alpha, seed=seed)
    told = replace(certificate, sample=rows, num_rows=sample.num_rows, weights=weights)
    return replace(result, certificate=told)


def _evaluations(
    architectures: Sequence[Architecture],
    p: NDArray[np.float64],
    i: NDArray[np.float64],
    sample: RowErrors,
    theta: Theta,
) -> tuple[Evaluation, ...]:
    errors, w = sample.means, sample.w
    return tuple(
        Evaluation(
            architecture=architectures[k],
            theta=theta,
            objectives=Objectives(float(p[k]), float(i[k]), float(errors[k])),
            w=float(w[k]),
            failed=not math.isfinite(errors[k]),
        )
        for k in range(len(p))
    )


def _check(epsilon: Any, alpha: Any) -> None:
    for name, value, most in (("epsilon", epsilon, 1), ("alpha", alpha, 0.5)):
        if not 0 < value < most:
            raise InvalidConfigError(
                f"{name} lies in the open interval (0, {most:g})", f"{name}={value} came", f"Change {name}."
            )
