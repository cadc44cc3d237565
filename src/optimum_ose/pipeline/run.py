"""One run in one folder: its optimizer, rows and settings, and the question that it answers."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration import OSEConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.elastic.state import STATE_FILE
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.loading import load_config, load_teacher
from optimum_ose.optimizer.augmentation import require_copyable
from optimum_ose.optimizer.settling import settled
from optimum_ose.optimizer.team import is_first_process, wait_for_all
from optimum_ose.optimizer.token_rows import give_head
from optimum_ose.optimizer.verbs import Verbs
from optimum_ose.pipeline.dependencies import require_unchanged
from optimum_ose.question import model_digest, rows_digest
from optimum_ose.records import read_search
from optimum_ose.serialization import plain, write_atomic
from optimum_ose.tasks import task_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Train teaches, validation steers, test judges once, at the end."""

    train: Dataset
    """Rows to learn from."""
    validation: Dataset
    """Rows that steer."""
    test: Dataset
    """Rows that judge."""
    unlabeled: Dataset | None = None
    """Rows of text alone, which distillation adds."""
    further: Dataset | None = None
    """Rows of a second development split of a benchmark, which steer nothing; the finished student is scored on
    them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run in one folder."""

    optimizer: Verbs
    artifact: OSEArtifact
    rows: Rows
    config: OSEConfig


def open_run(
    optimizer: Verbs,
    folder: Path,
    rows: Rows,
    config: OSEConfig,
    *,
    request: Mapping[str, Any] = MappingProxyType({}),
) -> Run:
    """Open the output folder for this question.

    Raises:
        InvalidConfigError, UnsupportedModelError: if distillation asks for augmented copies that cannot be made.
        OutputFolderError: if it cannot be written or is not ours.
        JournalError: if a finished stage in it had other settings.
    """
    if config.distillation.num_augmented_copies:
        require_copyable(optimizer)
    optimizer.prepare(rows.train)  # the question names the head's classes
    model = model_digest(optimizer.teacher)  # before it gets a new head, which is random
    names_outputs = task_named(optimizer.task).inputs.labels_name_outputs
    if not optimizer.has_head and names_outputs and "label" in rows.train.column_names:
        give_head(optimizer.teacher, rows.train)  # as its fine-tuning will: the problem is known from now on
    config = replace(config, search=settled(optimizer, config.search))
    question = {
        "task": optimizer.task,
        "model": model,
        "config": plain(config),
        "max_length": optimizer.max_length,
        **({} if optimizer.benchmark_task is None else {"benchmark_task": optimizer.benchmark_task}),
        **{item.name: rows_digest(found) for item in fields(rows) if (found := getattr(rows, item.name)) is not None},
    }
    artifact = OSEArtifact.create(folder, question=question, request=request)
    asked = {**question, "request": request or artifact.request}
    repeated = require_unchanged(artifact, asked, has_head=optimizer.has_head)
    if is_first_process():
        artifact.reopen_stages(repeated)
        artifact.update(question=question, request=request)
    return Run(optimizer=optimizer, artifact=artifact, rows=rows, config=config)


def take_over(run: Run, earlier: Path) -> None:
    """Let a search that has not begun begin with what an earlier one trained; the search itself refuses a journal of
    another teacher, other data or another kind of short training.

    Raises:
        OutputFolderError: if the earlier folder is none of ours.
        InvalidConfigError: if it holds no search.
    """
    journal = OSEArtifact(earlier).journal  # a folder that lost its run.json still has what it trained
    if not journal.is_file():
        OSEArtifact.open(earlier)
        raise InvalidConfigError(
            "The earlier search (--search-from) must be the folder of one",
            f"{earlier} holds none",
            "Run `ose extract` there",
        )
    if is_first_process():
        if not run.artifact.journal.exists():
            write_atomic(run.artifact.journal, journal.read_text(encoding="utf-8"))
        state, copy = OSEArtifact(earlier).elastic / STATE_FILE, run.artifact.elastic / STATE_FILE
        if state.is_file() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            temporary = copy.with_name(f".{STATE_FILE}.tmp")
            shutil.copyfile(state, temporary)
            temporary.replace(copy)
    wait_for_all()


def load_model(run: Run, folder: Path) -> PreTrainedModel:
    """A model of the run's task that a stage has saved."""
    return load_teacher(str(folder), load_config(str(folder)), task=run.optimizer.task)


def winner(artifact: OSEArtifact) -> Architecture:
    """The architecture that the search chose."""
    return Architecture(read_search(artifact.search)["winner"]["architecture"])
