"""Owns the ledger of a search: it calls the error, counts the calls, and remembers what they returned."""

import math
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.objectives import ERROR_FLOOR, Objectives, require_error
from optimum_ose.core.question import Question
from optimum_ose.core.results import Evaluation, Theta

ErrorFunction = Callable[[Architecture, Theta], float]
"""e-hat: trains a candidate with one theta and returns its error; NaN or infinity if that failed.

Called again with the same arguments it is a replicate: another seed, if training is random."""

Plan = Sequence[tuple[Architecture, Theta]]
"""Calls of the error function that will probably be made next, in order."""
_LONGEST_PLAN = 64
"""Candidates; more processes than that find nothing to begin with."""


@final
class Trainings:
    """What has been trained so far; a candidate is trained with every theta, and its error is the smallest.

    Args:
        question: the candidates.
        error: trains one of them.
        hyperparameters: Theta.
        max_evaluations: calls of `error` that may be made.
        on_evaluation: told of each call.
        on_plan: told which calls come next, in order; later ones may be left out.
    """

    def __init__(
        self,
        question: Question,
        error: ErrorFunction,
        *,
        hyperparameters: Sequence[Theta],
        max_evaluations: int,
        on_evaluation: Callable[[Evaluation], None] | None = None,
        on_plan: Callable[[Plan], None] | None = None,
    ) -> None:
        self.question = question
        self.evaluations: list[Evaluation] = []
        self._error = error
        self._hyperparameters = tuple(hyperparameters)
        self._max_evaluations = max_evaluations
        self._on_evaluation = on_evaluation
        self._on_plan = on_plan
        self._errors: dict[int, list[list[float]]] = {}

    @property
    def trained(self) -> tuple[int, ...]:
        """The candidates trained, failed ones included, in order."""
        return tuple(self._errors)

    @property
    def succeeded(self) -> NDArray[np.int64]:
        """The candidates with a finite error, ascending."""
        return np.array(sorted(index for index in self._errors if self.distinct_errors(index)), dtype=np.int64)

    def plan(self, indices: Sequence[int] | NDArray[np.int64]) -> None:
        """Tell which candidates will be trained next, as far as is known; the first ones surely."""
        if self._on_plan is not None:
            candidates = [self.question.candidates[int(index)] for index in indices[:_LONGEST_PLAN]]
            self._on_plan([(candidate, theta) for candidate in candidates for theta in self._hyperparameters])

    def train(self, index: int) -> bool:
        """Train a candidate with every theta; False, and nothing done, if the budget does not allow it."""
        if len(self.evaluations) + len(self._hyperparameters) > self._max_evaluations:
            return False
        self._errors[index] = [[self._call(index, theta)] for theta in self._hyperparameters]
        return True

    def replicate(self, index: int) -> bool:
        """Train a candidate again with its best theta; False, and nothing done, if the budget does not allow it."""
        if len(self.evaluations) >= self._max_evaluations:
            return False
        best = self._best_theta(index)
        self._errors[index][best].append(self._call(index, self._hyperparameters[best]))
        return True

    def num_replicates(self, index: int) -> int:
        """Trainings of a candidate with its best theta."""
        return len(self._errors[index][self._best_theta(index)])

    def distinct_errors(self, index: int) -> list[float]:
        """The finite errors of a candidate with its best theta, ascending.

        A value that comes twice counts once: an error that repeats exactly is computed without randomness, and says
        nothing new about its noise.
        """
        return sorted({value for value in self._errors[index][self._best_theta(index)] if math.isfinite(value)})

    @property
    def was_replicated(self) -> bool:
        """Whether any candidate was trained again."""
        return any(self.num_replicates(index) > 1 for index in self._errors)

    @property
    def replicates_differ(self) -> bool:
        """Whether any replicate differs from the first training; where none does, more of them would teach nothing."""
        return any(len(self.distinct_errors(index)) > 1 for index in self._errors)

    def summary(self, index: int) -> Evaluation:
        """A candidate with its best theta, its error averaged over the replicates."""
        errors = [value for value in self._errors[index][self._best_theta(index)] if math.isfinite(value)]
        mean = math.fsum(errors) / len(errors) if errors else math.nan
        return self._record(index, self._hyperparameters[self._best_theta(index)], mean, max(len(errors), 1))

    def _best_theta(self, index: int) -> int:
        means = [
            float(np.mean(finite)) if (finite := [value for value in values if math.isfinite(value)]) else math.inf
            for values in self._errors[index]
        ]
        return int(np.argmin(means))

    def _call(self, index: int, theta: Theta) -> float:
        error = float(self._error(self.question.candidates[index], theta))
        require_error(error)
        evaluation = self._record(index, theta, error, 1)
        self.evaluations.append(evaluation)
        if self._on_evaluation is not None:
            self._on_evaluation(evaluation)
        return error

    def _record(self, index: int, theta: Theta, error: float, num_trainings: int) -> Evaluation:
        question, failed = self.question, not math.isfinite(error)
        p, i = float(question.parameter_size[index]), float(question.inference_cost[index])
        return Evaluation(
            architecture=question.candidates[index],
            theta=theta,
            objectives=Objectives(p, i, error),
            w=0.0 if failed else float(question.savings[index]) / max(error, ERROR_FLOOR),
            num_trainings=num_trainings,
            failed=failed,
        )
