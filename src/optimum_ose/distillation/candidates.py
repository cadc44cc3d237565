"""The real error of a candidate: what a short distillation from inherited weights leaves, journaled as it ends."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel

from optimum_ose.configuration import DistillationConfig, SearchConfig
from optimum_ose.configuration.search import FREE_HYPERPARAMETERS
from optimum_ose.core.architecture import Architecture
from optimum_ose.distillation.held_out import held_out_error
from optimum_ose.distillation.loop import distill
from optimum_ose.exceptions import DivergedError, InvalidConfigError
from optimum_ose.journal import Journal
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.serialization import canonical_line
from optimum_ose.tasks import DEFAULT_TASK, task_named

_OUT_OF_MEMORY = "allocate memory"
"""What PyTorch says on a CPU without memory; on a GPU it raises `OutOfMemoryError`."""

Score = Callable[[NDArray[np.float32], Dataset], float]
"""The task's metric of answers to token rows, as `predict_logits` gives them; higher is better, 1 at best."""
ModelScore = Callable[[PreTrainedModel, Dataset], float]
"""What a student scores on token rows, by the task's metric; higher is better, 1 at best."""
Initialize = Callable[[Architecture], PreTrainedModel]
"""A fresh student of an architecture."""


def share_right(logits: NDArray[np.float32], rows: Dataset) -> float:
    """Share of rows whose class is answered rightly."""
    return float((logits.argmax(-1) == np.asarray(rows["labels"][:])).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSetting:
    """What all candidates of one search share."""

    teacher: PreTrainedModel
    """The fine-tuned maximum point."""
    tokenizer: Preprocessor
    """Of teacher and students; of images their processor."""
    rows: Dataset
    """Token rows to distil on, with the teacher's logits."""
    eval_rows: Dataset
    """Part B of the development rows, on which the error is measured."""
    initialize: Initialize
    """Makes each student."""
    search: SearchConfig
    """s, seed, and which error."""
    task: str = DEFAULT_TASK
    """Of teacher and students."""
    score: ModelScore | None = None
    """The task's metric, where the error is what it lacks to 1; None: the share of rows whose class is right."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRun:
    """One short distillation that the search wants."""

    architecture: Architecture
    theta: Mapping[str, Any]
    replicate: int
    """Which seed; 0 the first time."""

    @property
    def key(self) -> str:
        """The same for equal runs."""
        return _key(self.architecture, self.theta, self.replicate)


class Measurer(Protocol):
    """Measures one candidate."""

    def measure(self, run: CandidateRun) -> dict[str, Any]:
        """The journal entry of a run."""


Measure = Callable[[Sequence[CandidateRun]], Sequence[Mapping[str, Any]]]
"""Measures at least the first of some runs, and returns the journal entries of those that it measured."""


@final
class CandidateTrainer:
    """Trains candidates, each on its own, and measures their errors.

    Args:
        setting: what all candidates share.
        clock: seconds, for the wall time in the journal.
    """

    def __init__(self, setting: CandidateSetting, *, clock: Callable[[], float]) -> None:
        self._setting = setting
        self._clock = clock
        self._answers: torch.Tensor | None = None

    def measure(self, run: CandidateRun) -> dict[str, Any]:
        """The journal entry of a run. A training that diverges or runs out of memory has the error None."""
        start = self._clock()
        error, failure = self._train(run.architecture, run.theta, run.replicate)
        return {
            "architecture": dict(run.architecture),
            "theta": dict(run.theta),
            "replicate": run.replicate,
            "max_training_steps": self._setting.search.max_training_steps,
            "error": error,
            "failure": failure,
            "wall_time_s": round(self._clock() - start, 3),
        }

    def _train(self, architecture: Architecture, theta: Mapping[str, Any], replicate: int) -> tuple[float, str | None]:
        setting = self._setting
        student = setting.initialize(architecture)
        config = short_run(setting.search, theta, replicate)
        try:
            distill(
                student,
                setting.teacher,
                rows=setting.rows,
                tokenizer=setting.tokenizer,
                config=config,
                task=setting.task,
                is_shared=False,
            )
            error = self._measure(student)
        except DivergedError:
            return float("nan"), "diverged"
        except (RuntimeError, MemoryError) as failure:
            if not isinstance(failure, MemoryError | torch.OutOfMemoryError) and _OUT_OF_MEMORY not in str(failure):
                raise
            return float("nan"), "out of memory"
        return error, None if np.isfinite(error) else "diverged"

    def _measure(self, student: PreTrainedModel) -> float:
        setting = self._setting
        problem = task_named(setting.task).problem(setting.teacher.config)
        if setting.search.measured_error == "task-metric" and setting.score is not None:
            return 1.0 - setting.score(student, setting.eval_rows)
        if not problem.is_kept and setting.search.measured_error != "task-metric":
            return held_out_error(problem, student, setting.teacher, setting.eval_rows, setting.tokenizer)
        found = predict_logits(student, setting.eval_rows, tokenizer=setting.tokenizer)
        if setting.search.measured_error == "task-metric":
            return 1.0 - share_right(found, setting.eval_rows)
        if self._answers is None:
            self._answers = torch.from_numpy(
                predict_logits(setting.teacher, setting.eval_rows, tokenizer=setting.tokenizer)
            ).double()
        return float(problem.error(torch.from_numpy(found).double(), self._answers))


@final
class CandidateError:
    """The error of (architecture, theta), measured; calling it again with the same arguments trains with another seed.

    Every finished measurement is one journal entry. What the journal already holds is not trained again.

    Args:
        measure: trains candidates.
        journal: of this search.
    """

    def __init__(self, measure: Measure, *, journal: Journal) -> None:
        self._measure = measure
        self._journal = journal
        self._num_calls: Counter[str] = Counter()
        self._planned: list[tuple[Architecture, Mapping[str, Any]]] = []
        trainings = [entry for entry in journal if "theta" in entry]
        self._known: dict[str, Mapping[str, Any]] = {_entry_key(entry): entry for entry in trainings}

    def plan(self, candidates: Sequence[tuple[Architecture, Mapping[str, Any]]]) -> None:
        """What will probably be asked next, in this order: several processes may begin with it."""
        self._planned = list(candidates)

    def __call__(self, architecture: Architecture, theta: Mapping[str, Any]) -> float:
        """The error, at least zero; NaN if the training failed."""
        run = self._next_run(architecture, theta)
        self._num_calls[_key(architecture, theta, 0)] += 1
        if (architecture, theta) in self._planned:
            self._planned.remove((architecture, theta))
        if run.key not in self._known:
            ahead = [self._next_run(*planned) for planned in self._planned]
            for entry in self._measure([run, *(later for later in ahead if later.key not in self._known)]):
                self._journal.append(entry)
                self._known[_entry_key(entry)] = entry
        error = self._known[run.key]["error"]
        return float("nan") if error is None else float(error)

    def _next_run(self, architecture: Architecture, theta: Mapping[str, Any]) -> CandidateRun:
        replicate = self._num_calls[_key(architecture, theta, 0)]
        return CandidateRun(architecture=architecture, theta=theta, replicate=replicate)


def short_run(search: SearchConfig, theta: Mapping[str, Any], replicate: int) -> DistillationConfig:
    """The recipe of one short distillation: the default one, s steps, theta on top, a seed per replicate.

    Raises:
        InvalidConfigError: if theta names what is no field of `DistillationConfig`, or what the search itself sets.
    """
    unknown = sorted(set(theta) - FREE_HYPERPARAMETERS)
    if unknown:
        raise InvalidConfigError(
            f"A hyperparameter set may name {', '.join(sorted(FREE_HYPERPARAMETERS))}",
            f"got {', '.join(unknown)}",
            "Change SearchConfig.hyperparameters",
        )
    seed = int(np.random.SeedSequence([search.seed, replicate]).generate_state(1)[0])
    base = DistillationConfig(num_steps=search.max_training_steps, batch_size=search.batch_size, seed=seed)
    return replace(base, **theta)


def _key(architecture: Mapping[str, int], theta: Mapping[str, Any], replicate: int) -> str:
    return canonical_line([dict(architecture), dict(theta), replicate])


def _entry_key(entry: Mapping[str, Any]) -> str:
    return _key(entry["architecture"], entry["theta"], entry["replicate"])
