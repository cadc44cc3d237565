"""Measures candidates by forward passes on development rows, row by row."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel

from optimum_ose.core.architecture import Architecture
from optimum_ose.distillation.candidates import CandidateRun, Score
from optimum_ose.elastic.long_answers import LongAnswers
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.prediction import (
    answers_in_order,
    answers_of,
    evaluating,
    length_sorted_batches,
    predict_logits,
)
from optimum_ose.preprocessing import Preprocessor, num_answers
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.problem import Problem

EXCESS_FLOOR = 1e-3
"""Added to the mean excess of each candidate, nats: differences far below it are of no use, and would rule W."""
_BATCH_SIZE = 64


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RowMeasures:
    """What is measured of some candidates on the same n rows."""

    architectures: tuple[Architecture, ...]
    """The candidates, C of them."""
    excess: NDArray[np.float32]
    """How much worse a candidate answers a row than its teacher, shape (C, n); NaN where its answers are not finite."""
    is_right: NDArray[np.bool_] | None
    """Whether it finds the row's class, shape (C, n); None of other tasks."""


@final
class ElasticMeasurer:
    """Measures candidates: parts of an elastic student, or students as they inherit; each is one journal entry.

    Args:
        view: the candidate of an architecture, on the teacher's device.
        teacher: not changed.
        tokenizer: pads; of images their processor.
        eval_rows: development rows.
        task: of both.
        error: what `error` of an entry is: the mean excess plus `EXCESS_FLOOR` ("divergence"), the cross-entropy to
            the teacher's answers, or what the task's metric lacks to 1.
        score: the task's metric.
        clock: seconds, for the wall time in the journal.

    Raises:
        UnsupportedModelError: if the task's answers have no excess of their own.
    """

    def __init__(
        self,
        view: Callable[[Architecture], torch.nn.Module],
        teacher: PreTrainedModel,
        *,
        tokenizer: Preprocessor,
        eval_rows: Dataset,
        task: str,
        error: str,
        score: Score,
        clock: Callable[[], float],
    ) -> None:
        self._problem = task_named(task).problem(teacher.config)
        self._excess = require_measurable(self._problem)
        self._view, self._rows, self._error, self._score, self._clock = view, eval_rows, error, score, clock
        self._batches = list(length_sorted_batches(teacher, eval_rows, tokenizer=tokenizer, batch_size=_BATCH_SIZE))
        self._long: LongAnswers | None = None
        if self._problem.kept_of_batch is not None:  # a vocabulary for each token
            self._long = LongAnswers(self._problem, self._excess, teacher, self._batches)
            return
        self._answers = torch.from_numpy(predict_logits(teacher, eval_rows, tokenizer=tokenizer)).double()
        self._counts = [1] * len(eval_rows)
        if len(self._answers) != len(eval_rows):
            self._counts = num_answers(eval_rows)

    @property
    def teacher_score(self) -> float:
        """The teacher's, by the task's metric, on the same rows."""
        answers: NDArray[Any] = self._answers.float().numpy() if self._long is None else self._long.of_teacher
        return self._score(answers, self._rows)

    def measure(self, run: CandidateRun) -> dict[str, Any]:
        """The journal entry of a candidate; one whose answers are not finite has the error None."""
        start = self._clock()
        answers, excess, error = self._compared(run.architecture)
        is_finite = bool(np.isfinite(excess).all())
        entry: dict[str, Any] = {
            "architecture": dict(run.architecture),
            "theta": dict(run.theta),
            "replicate": run.replicate,
            "error": self._total(answers, excess, error) if is_finite else None,
            "failure": None if is_finite else "diverged",
            "score": self._score(answers, self._rows) if is_finite else None,
            "excess": base64.b64encode(excess.astype("<f4").tobytes()).decode(),
        }
        if self._problem.labels_are_classes and len(answers) == len(self._rows):
            right = answers.argmax(-1) == np.asarray(self._rows["labels"][:])
            entry["is_right"] = base64.b64encode(np.packbits(right).tobytes()).decode()
        return {**entry, "wall_time_s": round(self._clock() - start, 3)}

    def _compared(self, architecture: Architecture) -> tuple[NDArray[Any], NDArray[np.float32], float]:
        """Answers, the excess of each row, and the problem's error."""
        if self._long is not None:
            found = self._long.compare(self._view(architecture))
            return found.chosen, found.excess, found.error
        answers = self._run(architecture)
        doubled = torch.from_numpy(answers).double()
        error = float(self._problem.error(doubled, self._answers)) if self._error == "cross-entropy" else float("nan")
        return answers, self._by_row(doubled), error

    def _run(self, architecture: Architecture) -> NDArray[np.float32]:
        """Answers to all rows, in their order, those of tokens row after row."""
        view = self._view(architecture)

        def answer(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return answers_of(view(**batch), batch).float().cpu()

        with evaluating(view):
            return answers_in_order(answer, self._batches, num_rows=len(self._rows))

    def _by_row(self, found: torch.Tensor) -> NDArray[np.float32]:
        """Excess of each row, shape (n,)."""
        excess: NDArray[np.float32] = self._excess(found, self._answers).numpy().astype(np.float32)
        if len(excess) == len(self._counts):
            return np.maximum(excess, np.float32(0))
        ends = np.cumsum(self._counts)[:-1]
        parts = np.split(excess, ends)
        rows: NDArray[np.float32] = np.array([part.sum() if self._problem.adds_up else part.mean() for part in parts])
        return np.maximum(rows, np.float32(0))

    def _total(self, answers: NDArray[Any], excess: NDArray[np.float32], error: float) -> float:
        if self._error == "task-metric":
            return 1.0 - self._score(answers, self._rows)
        if self._error == "cross-entropy":
            return error
        return float(excess.astype(np.float64).mean()) + EXCESS_FLOOR


def require_measurable(problem: Problem) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The excess of a problem's answers.

    Raises:
        UnsupportedModelError: if it is not known answer by answer.
    """
    if problem.excess is None:
        raise UnsupportedModelError(
            "The method elastic needs answers that are compared one by one",
            f"those of {problem} are compared as a whole",
            "Set search.method to certified",
        )
    return problem.excess


def measured_scores(entries: Iterable[Mapping[str, Any]]) -> dict[Architecture, float]:
    """Score of each candidate with finite answers, by the task's metric, from journal entries of `ElasticMeasurer`."""
    kept = (entry for entry in entries if "excess" in entry and entry["score"] is not None)
    return {Architecture(entry["architecture"]): float(entry["score"]) for entry in kept}


def row_measures(entries: Sequence[Mapping[str, Any]], *, num_rows: int) -> RowMeasures:
    """What journal entries of `ElasticMeasurer` tell row by row, candidates in their order.

    Args:
        entries: of one journal; those of other kinds are left out.
        num_rows: n.
    """
    kept = [entry for entry in entries if "excess" in entry]
    found = [np.frombuffer(base64.b64decode(entry["excess"]), dtype="<f4") for entry in kept]
    rights = [
        np.unpackbits(np.frombuffer(base64.b64decode(entry["is_right"]), dtype=np.uint8), count=num_rows)
        for entry in kept
        if "is_right" in entry
    ]
    return RowMeasures(
        architectures=tuple(Architecture(entry["architecture"]) for entry in kept),
        excess=np.array(found, dtype=np.float32).reshape(len(kept), num_rows),
        is_right=np.array(rights, dtype=np.bool_) if rights and len(rights) == len(kept) else None,
    )
