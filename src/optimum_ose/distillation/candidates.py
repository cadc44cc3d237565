"""The real error of a candidate: what a short distillation from inherited weights leaves, journaled as it ends."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration import DistillationConfig, SearchConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.distillation.loop import distill
from optimum_ose.distillation.losses import cross_entropy_to_teacher
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.journal import Journal
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.serialization import canonical_line

_OUT_OF_MEMORY = "allocate memory"
"""What PyTorch says on a CPU without memory; on a GPU it raises `OutOfMemoryError`."""

Initialize = Callable[[Architecture], PreTrainedModel]
"""A fresh student of an architecture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSetting:
    """What all candidates of one search share."""

    teacher: PreTrainedModel
    """The fine-tuned maximum point."""
    tokenizer: PreTrainedTokenizerBase
    """Of teacher and students."""
    rows: Dataset
    """Token rows to distil on, with the teacher's logits."""
    eval_rows: Dataset
    """Part B of the development rows, on which the error is measured."""
    initialize: Initialize
    """Makes each student."""
    search: SearchConfig
    """s, seed, and which error."""


@final
class CandidateError:
    """The error of (architecture, theta), measured; calling it again with the same arguments trains with another seed.

    Every finished measurement is one journal entry. What the journal already holds is not trained again. A training
    that diverges or runs
    out of memory has the error NaN, and is journaled too.

    Args:
        setting: what all candidates share.
        journal: of this search.
        clock: seconds, for the wall time in the journal.
    """

    def __init__(self, setting: CandidateSetting, *, journal: Journal, clock: Callable[[], float]) -> None:
        self._setting = setting
        self._journal = journal
        self._clock = clock
        self._answers: torch.Tensor | None = None
        self._num_calls: Counter[str] = Counter()
        trainings = [entry for entry in journal if "theta" in entry]
        self._known = {_key(entry["architecture"], entry["theta"], entry["replicate"]): entry for entry in trainings}

    def __call__(self, architecture: Architecture, theta: Mapping[str, Any]) -> float:
        """The error, at least zero; NaN if the training failed."""
        replicate = self._num_calls[_key(architecture, theta, 0)]
        self._num_calls[_key(architecture, theta, 0)] += 1
        known = self._known.get(_key(architecture, theta, replicate))
        if known is None:
            start = self._clock()
            error, failure = self._train(architecture, theta, replicate)
            known = {
                "architecture": dict(architecture),
                "theta": dict(theta),
                "replicate": replicate,
                "max_training_steps": self._setting.search.max_training_steps,
                "error": error,
                "failure": failure,
                "wall_time_s": round(self._clock() - start, 3),
            }
            self._journal.append(known)
        return float("nan") if known["error"] is None else float(known["error"])

    def _train(self, architecture: Architecture, theta: Mapping[str, Any], replicate: int) -> tuple[float, str | None]:
        setting = self._setting
        student = setting.initialize(architecture)
        config = short_run(setting.search, theta, replicate)
        try:
            distill(student, setting.teacher, rows=setting.rows, tokenizer=setting.tokenizer, config=config)
            error = self._measure(student)
        except (RuntimeError, MemoryError) as failure:
            if not isinstance(failure, MemoryError | torch.OutOfMemoryError) and _OUT_OF_MEMORY not in str(failure):
                raise
            return float("nan"), "out of memory"
        return error, None if np.isfinite(error) else "diverged"

    def _measure(self, student: PreTrainedModel) -> float:
        setting = self._setting
        found = torch.from_numpy(predict_logits(student, setting.eval_rows, tokenizer=setting.tokenizer))
        if setting.search.error == "task-metric":
            labels = torch.tensor(setting.eval_rows["labels"][:])
            return float((found.argmax(-1) != labels).double().mean())
        if self._answers is None:
            self._answers = torch.from_numpy(
                predict_logits(setting.teacher, setting.eval_rows, tokenizer=setting.tokenizer)
            )
        return float(cross_entropy_to_teacher(found.double(), self._answers.double()))


def short_run(search: SearchConfig, theta: Mapping[str, Any], replicate: int) -> DistillationConfig:
    """The recipe of one short distillation: the default one, s steps, theta on top, a seed per replicate.

    Raises:
        InvalidConfigError: if theta names what is no field of `DistillationConfig`, or what the search itself sets.
    """
    free = {item.name for item in fields(DistillationConfig)} - {"num_steps", "seed", "checkpoint_steps"}
    unknown = sorted(set(theta) - free)
    if unknown:
        raise InvalidConfigError(
            f"A hyperparameter set may name {', '.join(sorted(free))}",
            f"got {', '.join(unknown)}",
            "Mend SearchConfig.hyperparameters",
        )
    seed = int(np.random.SeedSequence([search.seed, replicate]).generate_state(1)[0])
    base = DistillationConfig(num_steps=search.max_training_steps, batch_size=search.batch_size, seed=seed)
    return replace(base, **theta)


def _key(architecture: Mapping[str, int], theta: Mapping[str, Any], replicate: int) -> str:
    return canonical_line([dict(architecture), dict(theta), replicate])
