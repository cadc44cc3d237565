"""Owns the verdict on the AB^nC property, under which the published algorithm is an FPTAS."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, final

from optimum_ose.core.polynomial import Polynomial
from optimum_ose.exceptions import InvalidArchitectureError

Status = Literal["holds", "fails", "declared", "not measured"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a network f = C(B_n(...B_1(A(x)))).

    Attributes:
        name: as shown to the user, for example "embeddings".
        parameter_size: number of parameters, in the axes.
        multiply_adds: operations, in the axes and possibly the sequence length.
    """

    name: str
    parameter_size: Polynomial
    multiply_adds: Polynomial


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The verdict on one of the three conditions.

    Attributes:
        statement: the condition.
        status: "holds" and "fails" are decided from the polynomials; "declared" rests on the caller's word.
        reasons: why, one sentence each.
    """

    statement: str
    status: Status
    reasons: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict on all three conditions; never a bare yes, for training cannot be decided from shapes.

    Attributes:
        cost: (1) A and C cost less than each B_i, in size and operations, read as growth in xi.
        smoothness: (2) the training problem is L-smooth with bounded stochastic gradients.
        descent: (3) it is solved by SGD.
    """

    cost: Condition
    smoothness: Condition
    descent: Condition

    def __str__(self) -> str:
        return "\n".join(
            f"({number}) {condition.statement}: {condition.status}. {' '.join(condition.reasons)}"
            for number, condition in enumerate((self.cost, self.smoothness, self.descent), start=1)
        )


def check_abnc(
    first: Stage,
    inner: Sequence[Stage],
    last: Stage,
    *,
    axes: Collection[str],
    smoothness: str | None = None,
    descent: str | None = None,
) -> Verdict:
    """Check the AB^nC property of a network.

    Condition (1) is read as: when all axes grow together, the cost of A and of C vanishes beside that of every B_i,
    which holds exactly if its degree in the axes is smaller.

    Args:
        first: A.
        inner: B_1 ... B_n, at least one.
        last: C.
        axes: the variables that grow; all others, such as the sequence length, are constants.
        smoothness: what the caller declares about condition (2); None: nothing was measured.
        descent: what the caller declares about condition (3), such as the optimizer; None: nothing is known.

    Raises:
        InvalidArchitectureError: if there is no inner stage.

    Source: de Wynter, arXiv:2010.08512; growth as degree is our reading.
    """
    if not inner:
        raise InvalidArchitectureError(
            "An AB^nC network has at least one inner stage B_i", "none came", "Pass the layers as inner stages."
        )
    reasons, holds = [], True
    for quantity in ("parameter_size", "multiply_adds"):
        slowest = min(inner, key=lambda stage: _degree(stage, quantity, axes))
        limit = _degree(slowest, quantity, axes)
        for stage in (first, last):
            degree = _degree(stage, quantity, axes)
            holds &= degree < limit
            comparison = "below" if degree < limit else "not below"
            reasons.append(f"{quantity} of {stage.name} has degree {degree}, {comparison} {limit} of {slowest.name}.")
    return Verdict(
        cost=Condition(
            statement="A and C cost less than each B_i", status="holds" if holds else "fails", reasons=tuple(reasons)
        ),
        smoothness=_declared("the training problem is L-smooth with bounded stochastic gradients", smoothness),
        descent=_declared("it is solved by SGD", descent),
    )


def _degree(stage: Stage, quantity: str, axes: Collection[str]) -> int:
    polynomial: Polynomial = getattr(stage, quantity)
    return max(polynomial.degree(axes), 0)


def _declared(statement: str, declaration: str | None) -> Condition:
    if declaration is None:
        return Condition(statement=statement, status="not measured", reasons=("Nothing was declared.",))
    return Condition(statement=statement, status="declared", reasons=(declaration,))
