"""The certificate: how close to the best candidate a winner is proven to be, and under which assumption."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, final

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.sampled_rows import RowMethod

Assumption = Literal["exhaustive", "sampled rows", "monotone", "surrogate"]
"""The kinds of certificate, the weakest assumption first."""
Objective = Literal["w-coefficient", "error", "size", "cost"]
"""What a winner is best in: the highest W, or the least error, size or inference cost that the constraints allow."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An observation against the monotone assumption: a larger candidate was measured worse than a smaller one.

    Attributes:
        smaller: the candidate with the lower error.
        larger: a candidate that is at least as large in every axis; of several, the one with the highest error.
        excess: relative excess of the larger one's error, e(larger) / e(smaller) - 1.
    """

    smaller: Architecture
    larger: Architecture
    excess: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRows:
    """What the rows on which every candidate was measured say about the population that they were drawn from.

    Attributes:
        ratio: lower bound of W(winner) / max W in the population; of min e / e(winner) likewise.
        method: how the deciding comparison was bounded. "bootstrap": simultaneous paired bootstrap of Student's t;
            "betting": betting e-values with a union bound, where few rows carry the comparison.
        error_gap: with probability 1 - alpha, no candidate's true error is more than this below the winner's; None:
            nothing is known.
        rows_needed: about how many rows would satisfy epsilon; None where these rows speak against it.
    """

    ratio: float
    method: RowMethod
    error_gap: float | None
    rows_needed: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a search has proven about its winner.

    Attributes:
        assumption: what the bound rests on. "exhaustive": nothing, every candidate was measured, on these rows;
            "sampled rows": likewise, for the population that the rows were drawn from independently; "monotone": none
            is more accurate than one at least as large in every axis; "surrogate": the surrogate's intervals hold.
        ratio: lower bound of W(winner) / max W over the search space, in [0, 1]; of min e / e(winner) where the error
            is the objective.
        epsilon: the relative shortfall that the user accepts.
        upper_bound: bound U on W over the search space, so that W(winner) >= ratio * U; on 1 / e likewise.
        noise: relative standard deviation of the error that the bound allows for; zero if it was taken as exact.
        alpha: accepted probability that a bound which rests on noise, rows or surrogate fails.
        num_evaluations: calls of the error, replicates and failures included.
        num_trained: candidates that were trained.
        num_candidates: candidates of the search space that obey the user's constraints.
        violations: observations against the monotone assumption, at most one per smaller candidate.
        objective: what the winner is best in.
        weights: whose errors were measured, in words, such as "short trainings of 30 steps"; empty: not told.
        num_rows: rows on which errors were measured; None: not told.
        sample: what these rows say about their population; None: not told.
        among: which of the candidates that were measured count, in words; empty: all.
    """

    assumption: Assumption
    ratio: float
    epsilon: float
    upper_bound: float
    noise: float
    alpha: float
    num_evaluations: int
    num_trained: int
    num_candidates: int
    violations: tuple[Violation, ...] = ()
    objective: Objective = "w-coefficient"
    weights: str = ""
    num_rows: int | None = None
    sample: SampledRows | None = None
    among: str = ""

    @property
    def satisfied(self) -> bool:
        """Whether the ratio reaches 1 - epsilon."""
        return self.ratio >= 1 - self.epsilon

    @property
    def statement(self) -> str:
        """The certificate in words: what is proven, how certainly, under which assumption, and of whose weights."""
        verdict = "satisfied" if self.satisfied else "NOT satisfied"
        parts = [f"{verdict} for epsilon = {self.epsilon:g}", f"assumption: {_BASES[self.assumption]}"]
        if self.assumption != "sampled rows" or self.sample is None:
            parts.append(f"noise {self.noise:.2%}" if self.noise > 0 else "errors taken as exact")
            parts.append(f"{self.num_evaluations} evaluations of {self.num_trained} candidates")
        else:
            parts.append(f"bounded by {_METHODS[self.sample.method]}")
        if measured := self._measured():
            parts.append(measured)
        return f"{self._claim()}{self._chance()} ({'; '.join(parts)}){self._outlook()}"

    def _claim(self) -> str:
        if self.ratio <= 0:
            return f"nothing is proven about the best of {self._candidates()}"
        if self.objective == "error":
            return f"the least error of {self._candidates()} is at least {self.ratio:.1%} of the winner's"
        if self.objective in _LEAST:
            return f"the winner has the least {_LEAST[self.objective]} of {self._candidates()}"
        return f"W of the winner is at least {self.ratio:.1%} of the best of {self._candidates()}"

    def _candidates(self) -> str:
        """Those that count."""
        return f"{self.num_candidates} candidates{f' ({self.among})' if self.among else ''}"

    def _chance(self) -> str:
        where = " on all rows like these" if self.assumption == "sampled rows" else ""
        is_chance = self.noise > 0 or self.assumption in ("sampled rows", "surrogate")
        return where + (f" with probability {1 - self.alpha:.0%}" if is_chance else "")

    def _measured(self) -> str:
        """Whose errors these are, and on how many rows."""
        rows = f"on {self.num_rows:,} rows" if self.num_rows is not None else ""
        return f"errors of {self.weights} {rows}".rstrip() if self.weights else rows and f"errors {rows}"

    def _outlook(self) -> str:
        """What else the sample of rows says."""
        if self.sample is None:
            return ""
        probably, told = f"With probability {1 - self.alpha:.0%},", []
        if self.assumption != "sampled rows":
            told.append(f"{probably} the ratio is at least {self.sample.ratio:.1%} on all rows like these")
        if self.sample.error_gap is not None:
            told.append(
                f"{probably} no candidate's true error is more than {self.sample.error_gap:.3g} below the winner's"
            )
        if self.sample.ratio < 1 - self.epsilon and self.sample.rows_needed is not None:
            told.append(f"About {self.sample.rows_needed:,} rows would prove {1 - self.epsilon:.0%} for all rows")
        if told:
            basis = "if these rows were drawn independently, used by no training, and hold the rare large errors"
            told.append(f"The statements on all rows hold {basis}; they rest on {_METHODS[self.sample.method]}")
        return "".join(f". {sentence}" for sentence in told)


_LEAST: Mapping[Objective, str] = MappingProxyType({"size": "parameters", "cost": "inference cost"})
_BASES: Mapping[Assumption, str] = MappingProxyType(
    {
        "exhaustive": "every candidate was measured",
        "sampled rows": "every candidate was measured on the same rows, drawn independently and used by no training",
        "monotone": "no network is more accurate than one larger in every axis",
        "surrogate": "the error surrogate's intervals hold",
    }
)
_METHODS: Mapping[RowMethod, str] = MappingProxyType(
    {
        "bootstrap": "a simultaneous paired bootstrap",
        "betting": "betting e-values, as few rows differ",
    }
)
