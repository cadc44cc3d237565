"""Finds out by trying which axis values and which pairs of them a model type allows, and where its formula holds."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.constraints import Constraint, Divides
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InvalidArchitectureError, UnsupportedModelError
from optimum_ose.modeling.axis import Axis, edits, shallow_values
from optimum_ose.modeling.interpolation import SizeFormula
from optimum_ose.modeling.probing import Build, Prober
from optimum_ose.modeling.rules import AtMost, Proportional

_NUM_DRAWN = 16
"""Candidates drawn at random that must build before a space is believed."""
_NUM_DEEP = 4
"""How many of them are built at their full depth."""
_RUN_EVERY = 4
"""One in so many of them must also run."""
_ROUNDS = 60
"""Values or rules added one after the other before a model type is given up."""
_PATIENCE = 15
"""After so many of them, an axis that is in the way is fixed altogether."""
_MAX_IRREGULAR = 2
"""A formula that fails at more widths than this is no formula; at fewer, these widths are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Values and rules under which all tried candidates build."""

    values: Mapping[str, tuple[int, ...]]
    """Of each axis."""
    constraints: tuple[Constraint, ...]
    """Between the axes."""
    formula: SizeFormula | None
    """Verified on every tried candidate, or None."""


def settle(
    prober: Prober,
    axes: Mapping[str, Axis],
    values: Mapping[str, tuple[int, ...]],
    constraints: tuple[Constraint, ...],
    *,
    formula: SizeFormula | None,
    chosen: Collection[str],
) -> Settled:
    """Try candidates; leave out values, and learn rules, until all that are tried build.

    Args:
        prober: of the config.
        axes: of the space.
        values: of each axis, to start with.
        constraints: known rules.
        formula: what the number of parameters should be.
        chosen: axes whose values are the user's; none of them is left out silently.

    Raises:
        InvalidArchitectureError: for a value of the user's at which the model does not build or has other tensors.
        InfeasibleError: if the constraints leave no candidate.
        UnsupportedModelError: if no rule explains which candidates build.
    """
    trial = _Trial(prober, axes, dict(values), list(constraints), formula, frozenset(chosen))
    trial.choose_depth()
    for trial.round in range(_ROUNDS):
        if trial.drop_values() or trial.learn_rule():
            continue
        return Settled(values=trial.values, constraints=tuple(trial.constraints), formula=trial.formula)
    raise UnsupportedModelError(
        f"which architectures of model type {prober.config.model_type!r} build must follow from rules between its axes",
        f"no rule was found; the last failure: {prober.reason}",
        f"Fix all axes but one or two of {', '.join(axes)}",
    )


@final
@dataclass(slots=True)
class _Trial:
    prober: Prober
    axes: Mapping[str, Axis]
    values: dict[str, tuple[int, ...]]
    constraints: list[Constraint]
    formula: SizeFormula | None
    chosen: frozenset[str]
    passed: list[dict[str, int]] = field(default_factory=list)
    round: int = 0
    small: dict[str, int] = field(default_factory=dict)

    @property
    def maximum_point(self) -> Architecture:
        return Architecture({name: axis.value for name, axis in self.axes.items()})

    def choose_depth(self) -> None:
        """Try at a small depth what does not concern the depth, unless the model builds or runs at its own only."""
        own = dict(self.maximum_point)
        small = shallow_values(self.axes.values())
        builds = self.prober.build(*edits(self.axes, own | small)) is not None
        if builds and (
            self.prober.find_example(*edits(self.axes, own | small))
            or not self.prober.find_example(*edits(self.axes, own))
        ):
            self.small = small

    def drop_values(self) -> bool:
        """Try each value of each axis once, all others as large as they may be; whether any had to be left out."""
        space = SearchSpace(self.values, maximum_point=self.maximum_point, constraints=self.constraints)
        failed: list[tuple[str, int]] = []
        irregular: list[tuple[str, int]] = []
        for axis, value, row in _largest_with_each_value(space):
            # Where the smallest value runs, larger ones do; inner widths always do.
            is_suspect = value == self.values[axis][0] or any(axis == name for name, _ in failed)
            tried = self._shallow(row, keep=axis) if row else {}
            build = self._build(tried, is_run=is_suspect and self.axes[axis].role != "intermediate") if row else None
            if row is None:
                failed += [(axis, value)] if axis not in self.chosen else []
            elif build is None:
                self._refuse_chosen(axis, value, "build")
                failed.append((axis, value))
            elif not self._is_regular(tried, build):
                irregular.append((axis, value))
        if len(irregular) > _MAX_IRREGULAR or any(self.axes[axis].role == "layers" for axis, _ in irregular):
            self.formula, irregular = None, []
        for axis, value in irregular:
            self._refuse_chosen(axis, value, "have the same tensors")
        self._drop([*failed, *irregular])
        return bool(failed or irregular)

    def learn_rule(self) -> bool:
        """Try candidates drawn at random; whether one failed, so that a rule was added or a value left out."""
        space = SearchSpace(self.values, maximum_point=self.maximum_point, constraints=self.constraints)
        for number, row in enumerate(_drawn(space)):
            tried = row if number < _NUM_DEEP else self._shallow(row)
            build = self._build(tried, is_run=number % _RUN_EVERY == 0)
            if build is None:
                self._explain(tried)
                return True
            if not self._is_regular(tried, build):
                self.formula = None
            self.passed.append(tried)
        return False

    def _build(self, row: Mapping[str, int], *, is_run: bool = True) -> Build | None:
        if is_run and not self.prober.runs(*edits(self.axes, row)):
            return None
        return self.prober.build(*edits(self.axes, row))

    def _shallow(self, row: Mapping[str, int], *, keep: str | None = None) -> dict[str, int]:
        small = self.small
        return {axis: min(value, small.get(axis, value)) if axis != keep else value for axis, value in row.items()}

    def _is_regular(self, row: Mapping[str, int], build: Build) -> bool:
        if self.formula is None:
            return True
        columns = {axis: np.array([value], dtype=np.int64) for axis, value in row.items()}
        return tuple(self.formula.evaluate(columns)[:, 0].tolist()) == build.parameter_counts

    def _drop(self, doomed: Collection[tuple[str, int]]) -> None:
        for axis, value in doomed:
            kept = tuple(other for other in self.values[axis] if other != value)
            self.values[axis] = kept or (self.axes[axis].value,)

    def _refuse_chosen(self, axis: str, value: int, what: str) -> None:
        if axis in self.chosen:
            model_type = self.prober.config.model_type
            raise InvalidArchitectureError(
                f"model type {model_type!r} must {what} at every {axis}",
                f"at {value} it " + (f"does not: {self.prober.reason}" if what == "build" else "has others"),
                "Choose another value",
            )

    def _explain(self, row: dict[str, int]) -> None:
        """Add the first rule between two axes that tells this failure from all that built; else fix an axis."""
        own = dict(self.maximum_point)
        minimal = dict(row)
        for axis in row:
            simpler = {**minimal, axis: self._shallow(own)[axis]}
            if minimal != simpler and self._build(simpler) is None:
                minimal = simpler
        guilty = [axis for axis in minimal if minimal[axis] != self._shallow(own)[axis]]
        for rule in self._rules(guilty):
            if _holds(rule, own) and not _holds(rule, row) and all(_holds(rule, known) for known in self.passed):
                self.constraints.append(rule)
                return
        movable = [axis for axis in guilty or row if len(self.values[axis]) > 1 and axis not in self.chosen]
        if not movable:
            raise UnsupportedModelError(
                f"model type {self.prober.config.model_type!r} must build at the values chosen",
                f"it does not at {', '.join(f'{axis}={value}' for axis, value in row.items())}: {self.prober.reason}",
                "Choose other values",
            )
        axis = min(movable, key=lambda axis: (self.axes[axis].role == "hidden", len(self.values[axis])))
        is_one_value = row[axis] != own[axis] and self.round < _PATIENCE
        self._drop([(axis, value) for value in self.values[axis] if value == row[axis] or not is_one_value])

    def _rules(self, guilty: Collection[str]) -> Iterator[Constraint]:
        names = [axis for axis in self.axes if self.axes[axis].role != "layers"]
        pairs = [(first, second) for first in guilty for second in names if first != second]
        for first, second in pairs:
            yield Divides(divisor=first, dividend=second)
            yield Divides(divisor=second, dividend=first)
        for first, second in pairs:
            yield AtMost(smaller=first, larger=second)
            yield AtMost(smaller=second, larger=first)
        for first, second in pairs:
            numerator, denominator = self.axes[first].value, self.axes[second].value
            yield Proportional(axis=first, other=second, numerator=numerator, denominator=denominator)


def _holds(rule: Constraint, row: Mapping[str, int]) -> bool:
    return bool(rule.holds({axis: np.array([row[axis]], dtype=np.int64) for axis in rule.axes}).all())


def _largest_with_each_value(space: SearchSpace) -> Iterator[tuple[str, int, dict[str, int] | None]]:
    """For each value of each axis, the candidate with it that is largest otherwise; None if no candidate has it."""
    columns = space.candidates.columns
    logs = {axis: np.log(column / space.maximum_point[axis]) for axis, column in columns.items()}
    score: NDArray[np.float64] = np.sum(list(logs.values()), axis=0)
    for axis, values in space.axes.items():
        for value in values:
            matching = np.flatnonzero(columns[axis] == value)
            best = matching[np.argmax(score[matching])] if len(matching) else None
            yield axis, value, None if best is None else {name: int(column[best]) for name, column in columns.items()}


def _drawn(space: SearchSpace) -> Iterator[dict[str, int]]:
    """The smallest candidate and some drawn at random, always the same ones."""
    rng = np.random.default_rng(0)
    indices = [0, *rng.choice(len(space), min(_NUM_DRAWN, len(space)), replace=False).tolist()]
    for index in indices:
        yield dict(space.candidates[index])
