"""Owns the exact sizes and operation counts of the candidates of a search space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.polynomial import Polynomial

MIN_CANDIDATES = 8
"""Fewer candidates cannot hold a latency model and its held-back error."""
SEQUENCE_LENGTH = "sequence_length"
"""Name of the variable for tokens per sequence in `CostModel.multiply_adds`."""


class Quantity(Protocol):
    """An exact whole-number function of the axes: a `Polynomial`, or one that counts what it has built."""

    def evaluate(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Exact values at n points.

        Args:
            columns: variable -> int64 array of shape (n,).

        Returns:
            int64 array of shape (n,).
        """
        ...

    def polynomial(self) -> Polynomial | None:
        """The function as a polynomial in the axes; None where none is known."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """The surrogates p-hat and i-hat of a model type, polynomials in its axes where they are known.

    Source: de Wynter, arXiv:2010.08512.

    Attributes:
        embedding_parameters: number of parameters of the embeddings.
        other_parameters: number of all other parameters.
        multiply_adds: multiply-add operations for one sequence, in the axes and `SEQUENCE_LENGTH`.
    """

    embedding_parameters: Quantity
    other_parameters: Quantity
    multiply_adds: Quantity
