"""Owns the exact sizes and operation counts of the candidates of a search space."""

from dataclasses import dataclass
from typing import final

from optimum_ose.core.polynomial import Polynomial

SEQUENCE_LENGTH = "sequence_length"
"""Name of the variable for tokens per sequence in `CostModel.multiply_adds`."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """The surrogates p-hat and i-hat of a model type: polynomials in its axes (de Wynter, arXiv:2010.08512).

    Attributes:
        embedding_parameters: number of parameters of the embeddings.
        other_parameters: number of all other parameters.
        multiply_adds: multiply-add operations for one sequence, in the axes and `SEQUENCE_LENGTH`.
    """

    embedding_parameters: Polynomial
    other_parameters: Polynomial
    multiply_adds: Polynomial
