"""The verdict on the AB^nC property, under which the published algorithm is an FPTAS."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, final

from optimum_ose.core.polynomial import Monomial, Polynomial
from optimum_ose.exceptions import InvalidArchitectureError

Status = Literal["holds", "fails", "declared", "not measured"]
Growth = Literal["slower", "alike", "faster"]
"""Of a stage beside a layer: by a smaller degree; by the same one with smaller leading terms; else."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a network f = C(B_n(...B_1(A(x)))).

    Attributes:
        name: as shown to the user, for example "embeddings".
        parameter_size: number of parameters, in the axes.
        multiply_adds: operations, in the axes and possibly the sequence length; None: not known term by term.
    """

    name: str
    parameter_size: Polynomial
    multiply_adds: Polynomial | None


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

    Condition (1) is read as: when all axes grow together, A and C cost less than every B_i. That holds if they grow by
    a smaller degree, and also if they grow by the same degree and each leading term has a smaller coefficient: a pooler
    of width^2 beside a layer of 4 width^2 and more. This is the reading under which the article counts BERT among these
    networks. The stricter one, that A and C vanish beside every B_i, needs the smaller degree; where only the first
    holds, the reasons say so.

    Args:
        first: A.
        inner: B_1 ... B_n, at least one.
        last: C.
        axes: the variables that grow; all others, such as the sequence length, are constants.
        smoothness: what the caller declares about condition (2); None: nothing was measured.
        descent: what the caller declares about condition (3), such as the optimizer; None: nothing is known.

    Raises:
        InvalidArchitectureError: if there is no inner stage.

    Source: de Wynter, arXiv:2010.08512; both readings of growth are ours, for the article's full text was not at hand.
    """
    if not inner:
        raise InvalidArchitectureError(
            "An AB^nC network has at least one inner stage B_i", "none came", "Pass the layers as inner stages."
        )
    counted = all(stage.multiply_adds is not None for stage in (first, *inner, last))
    found = [
        _compare(stage, min(inner, key=lambda other: _degree(other, quantity, axes)), quantity, axes)
        for quantity in (("parameter_size", "multiply_adds") if counted else ("parameter_size",))
        for stage in (first, last)
    ]
    reasons, holds = [reason for _, reason in found], all(growth != "faster" for growth, _ in found)
    if holds and any(growth == "alike" for growth, _ in found):
        reasons.append("So A and C cost less than each B_i, but do not vanish beside it.")
    if not counted:
        reasons.append("Only sizes are compared: the operations of this model type are not known term by term.")
    return Verdict(
        cost=Condition(
            statement="A and C cost less than each B_i", status="holds" if holds else "fails", reasons=tuple(reasons)
        ),
        smoothness=_declared("the training problem is L-smooth with bounded stochastic gradients", smoothness),
        descent=_declared("it is solved by SGD", descent),
    )


def _compare(stage: Stage, layer: Stage, quantity: str, axes: Collection[str]) -> tuple[Growth, str]:
    """How a stage grows beside a layer, and a sentence on it."""
    degree, limit = _degree(stage, quantity, axes), _degree(layer, quantity, axes)
    if degree < limit:
        return "slower", f"{quantity} of {stage.name} has degree {degree}, below {limit} of {layer.name}."
    mine, theirs = _leading(stage, quantity, axes), _leading(layer, quantity, axes)
    if degree == limit > 0 and all(0 < value < theirs.get(term, 0) for term, value in mine.items()):
        terms = f"{_text(mine)} beside {_text(theirs)}"
        return "alike", f"{quantity} of {stage.name} has degree {degree} as {layer.name}, and is smaller: {terms}."
    return "faster", f"{quantity} of {stage.name} has degree {degree}, not below {limit} of {layer.name}."


def _leading(stage: Stage, quantity: str, axes: Collection[str]) -> dict[Monomial, int]:
    """The terms of the highest degree in the axes; all other variables, such as depth and length, are taken as 1."""
    polynomial: Polynomial = getattr(stage, quantity)
    within = Polynomial.of(
        (tuple(pair for pair in monomial if pair[0] in axes), coefficient) for monomial, coefficient in polynomial.terms
    )
    return {
        monomial: coefficient
        for monomial, coefficient in within.terms
        if sum(exponent for _, exponent in monomial) == within.degree()
    }


def _text(terms: dict[Monomial, int]) -> str:
    return str(Polynomial.of(terms.items()))


def _degree(stage: Stage, quantity: str, axes: Collection[str]) -> int:
    polynomial: Polynomial = getattr(stage, quantity)
    return max(polynomial.degree(axes), 0)


def _declared(statement: str, declaration: str | None) -> Condition:
    if declaration is None:
        return Condition(statement=statement, status="not measured", reasons=("Nothing was declared.",))
    return Condition(statement=statement, status="declared", reasons=(declaration,))
