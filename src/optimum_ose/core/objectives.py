"""Owns the three objectives of a candidate and the W-coefficient that joins them."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidArchitectureError, InvalidDataError
from optimum_ose.guards import require_kind

ERROR_FLOOR = 1e-7
"""Smallest error divided by; our choice, the paper gives none."""


@final
@dataclass(frozen=True, slots=True)
class Objectives:
    """The objectives of one candidate; lower is better in each.

    Attributes:
        parameter_size: p, any unit greater than zero, the same for every candidate.
        inference_cost: i, operations or time, any unit greater than zero, the same for every candidate.
        error: e >= 0; NaN or infinity if the training failed.
    """

    parameter_size: float
    inference_cost: float
    error: float


def w_coefficient(candidate: Objectives, maximum_point: Objectives, *, error_floor: float = ERROR_FLOOR) -> float:
    """The W-coefficient of a candidate against the maximum point T. Higher is better.

        W(f, T) = (p(T) - p(f)) / p(T) * (i(T) - i(f)) / i(T) / e(f)

    Zero at T; decreasing in each objective while the other two stay below T's. Zero for a failed training.

    Args:
        candidate: (p, i, e) of f.
        maximum_point: (p, i, e) of T. Its error is not used.
        error_floor: smallest error divided by, so that a faultless candidate stays finite.

    Raises:
        InvalidArchitectureError: a ValueError, if the candidate is larger or slower than the maximum point.
        InvalidDataError: a ValueError, if the error is negative.

    Source: de Wynter, arXiv:2010.08512 (maximum point: Definition 8).
    """
    for name, given in (("candidate", candidate), ("maximum_point", maximum_point)):
        require_kind(given, Objectives, name, "Pass Objectives(parameter_size=..., inference_cost=..., error=...)")
    gain = relative_savings(
        np.array([candidate.parameter_size], dtype=np.float64),
        np.array([candidate.inference_cost], dtype=np.float64),
        maximum_point=(maximum_point.parameter_size, maximum_point.inference_cost),
    )
    require_error(candidate.error)
    return float(gain[0]) / max(candidate.error, error_floor) if math.isfinite(candidate.error) else 0.0


def relative_savings(
    parameter_size: NDArray[np.float64], inference_cost: NDArray[np.float64], *, maximum_point: tuple[float, float]
) -> NDArray[np.float64]:
    """The part of W that is known without training, g = (1 - p/p_T)(1 - i/i_T), so that W = g / e.

    Args:
        parameter_size: p, shape (n,).
        inference_cost: i, shape (n,).
        maximum_point: (p_T, i_T), in the same units.

    Returns:
        float64 array of shape (n,), in [0, 1].

    Raises:
        InvalidArchitectureError: if a cost is not a positive finite number, or exceeds the maximum point's.
    """
    for name, values, limit in (
        ("parameter_size", parameter_size, maximum_point[0]),
        ("inference_cost", inference_cost, maximum_point[1]),
    ):
        wrong = values[~(np.isfinite(values) & (values > 0))]
        if len(wrong) or not (math.isfinite(limit) and limit > 0):
            raise InvalidArchitectureError(
                f"{name} is a finite number greater than zero",
                f"{wrong[0] if len(wrong) else limit} came",
                f"Correct the {name} of the candidates or of the maximum point.",
            )
        if (values > limit).any():
            raise InvalidArchitectureError(
                f"No candidate exceeds the maximum point's {name}, {limit:g}",
                f"{values.max():g} came",
                "Give the costs of the largest and slowest architecture as maximum_point, or drop the candidate.",
            )
    p_t, i_t = maximum_point
    return (p_t - parameter_size) / p_t * ((i_t - inference_cost) / i_t)


def require_error(error: float) -> None:
    """Pass if an error is one that W is defined for: not negative; NaN and infinity mean a failed training.

    Raises:
        InvalidDataError: if it is negative.
    """
    if error < 0:
        raise InvalidDataError(
            "An error is zero or greater, and lower is better",
            f"{error:g} came",
            "Return a loss or 1 - accuracy, not a score.",
        )
