"""Prepares a teacher's trained head for a data set: names its classes, and lets its config say what it answers."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.data.labels import (
    are_indices,
    class_names,
    head_indices,
    head_names,
    is_unnamed,
    with_names,
    write_names,
)
from optimum_ose.data.targets import NO_CLASS, PROBLEM_TYPES, Kind, kind_of_rows
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.optimizer.token_rows import rows_of
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.by_problem_type import require_fitting_head
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.wording import listed

NUM_MATCHING_ROWS = 512
"""Training rows, about, whose predictions tell which class an output of an unnamed head stands for."""
_MIN_ROWS_OF_A_CLASS = 10
_CLEAR_LEAD = 2.5
"""Standard errors by which the best assignment must lead over all others."""


def prepare_head(
    teacher: PreTrainedModel, tokenizer: Preprocessor, dataset: Dataset, *, task: str, max_length: int
) -> list[str]:
    """Let the config of a trained head, in place, say what the labels of training rows say; see `TeacherTask.prepare`.

    Args:
        teacher: with the head.
        tokenizer: the teacher's; its image processor, where rows hold images.
        dataset: with `label`.
        task: of the teacher.
        max_length: tokens per row.

    Returns:
        What was found, in sentences.

    Raises:
        InvalidDataError: if the head answers something else, or its classes and those of the rows do not match.
    """
    config, columns = teacher.config, [name for name in ("label", "tokens") if name in dataset.column_names]
    labels = dataset.select_columns(columns)
    kind = kind_of_rows(labels)
    notes = [describe_head(config, kind)]
    if kind != "number":
        names = unmatched_names(labels, config)
        if names:
            settings = RowSettings(preprocessor=tokenizer, max_length=max_length)
            chosen = rows_of(task_named(task), matching_rows(dataset), settings)
            write_names(config, _named_by_predictions(teacher, tokenizer, chosen, names, task))
            notes.append(
                f"the teacher's head does not name its classes; its answers to training rows do: "
                f"{listed(f'{index} is {name}' for index, name in enumerate(head_names(config)))}"
            )
        notes += [index_note(labels, config), subset_note(labels, config)]
    return [note for note in notes if note is not None]


def _named_by_predictions(
    teacher: PreTrainedModel, tokenizer: Preprocessor, rows: Dataset, names: Sequence[str], task: str
) -> list[str]:
    logits = predict_logits(teacher, rows, tokenizer=tokenizer)
    labels = rows["labels"][:]
    are_tags = isinstance(labels[0], list) and task_named(task).problem(teacher.config).labels_are_classes
    flat = np.concatenate([np.asarray(row) for row in labels]) if are_tags else np.asarray(labels)
    counted = flat != NO_CLASS if flat.ndim == 1 else np.ones(len(flat), dtype=bool)
    return match_by_predictions(names, logits[counted], flat[counted])


def describe_head(config: PretrainedConfig, kind: Kind) -> str | None:
    """Let a config say what its head answers, in place, where it leaves that open; what was written, in words.

    Transformers takes an unsaid `problem_type` by the labels in training, and as probabilities in serving.

    Raises:
        InvalidDataError: if the head answers something else than what the rows are labeled with.
    """
    require_fitting_head(kind, config)
    if getattr(config, "problem_type", None) is not None or kind not in ("number", "classes"):
        return None
    problem_type = PROBLEM_TYPES[kind]
    config.problem_type = problem_type  # type: ignore[assignment]
    return f"the teacher's config names no problem_type: taken as {problem_type}, as the labels are"


def unmatched_names(dataset: Dataset, config: PretrainedConfig) -> list[str]:
    """Names of the data's classes, where only predictions can tell which outputs of the head they are; else none."""
    names = class_names(dataset)
    if not is_unnamed(config) or head_indices(names, head_names(config)) is not None:
        return []
    return names


def index_note(dataset: Dataset, config: PretrainedConfig) -> str | None:
    """That the data's classes are taken as indices of the head's, where their names are numbers and the head's not."""
    names, known = class_names(dataset), head_names(config)
    if not names or set(names) <= set(known) or not are_indices(names, len(known)):
        return None
    return f"the classes {listed(names)} of the data are taken as indices of the head's classes {listed(known)}"


def subset_note(dataset: Dataset, config: PretrainedConfig) -> str | None:
    """That the head has further classes, where it has."""
    names, num_known = class_names(dataset), len(head_names(config))
    if not names or len(names) >= num_known:
        return None
    return f"the teacher's head knows {num_known} classes, of which the data names {len(names)}"


def match_by_predictions(names: Sequence[str], logits: NDArray[np.float32], labels: NDArray[np.int64]) -> list[str]:
    """The names of an unnamed head's classes, in its order: the assignment that makes most of its predictions right.

    Args:
        names: of the data's classes, by index.
        logits: of rows or words, shape (n, classes).
        labels: the data's classes of the same, shape (n,); or of sets of classes vectors of zeros and ones, shape
            (n, classes).

    Raises:
        InvalidDataError: if the numbers of classes differ, or no assignment is clearly the best.
    """
    num_outputs = logits.shape[-1]
    if len(names) != num_outputs:
        raise InvalidDataError(
            "The classes of the data must be those of the teacher's head",
            f"the data has {len(names)}: {listed(names)}; the teacher has {num_outputs} without names",
            "Give data of these classes, or a teacher without a head: it is then fine-tuned first",
        )
    agreement = _agreement(logits, labels)
    wanted, outputs = linear_sum_assignment(agreement, maximize=True)
    if min(_lead(agreement, outputs, row) for row in range(num_outputs)) < _CLEAR_LEAD:
        raise InvalidDataError(
            "The classes of the teacher's head must have names (id2label in its config.json), or its answers must tell "
            "which is which",
            f"it calls them LABEL_0 to LABEL_{num_outputs - 1}, and its answers to {len(labels)} training rows or "
            f"words fit {listed(names)} in no clear way",
            "Write id2label and label2id into the teacher's config.json, or give a teacher without a head",
        )
    named = [""] * num_outputs
    for row, column in zip(wanted, outputs, strict=True):
        named[column] = names[row]
    return named


def _agreement(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many rows of each class of the data get each output, shape (classes, outputs)."""
    size = logits.shape[-1]
    if labels.ndim == 2:
        return np.asarray(labels.astype(np.float64).T @ (logits > 0).astype(np.float64))
    counts = np.zeros((size, size))
    np.add.at(counts, (labels, logits.argmax(-1)), 1)
    return counts


def _lead(agreement: NDArray[np.float64], outputs: NDArray[np.intp], row: int) -> float:
    """By how many standard errors the best assignment leads over the best one that gives a class another output."""
    without = agreement.copy()
    without[row, outputs[row]] = -agreement.sum() - 1
    _, others = linear_sum_assignment(without, maximize=True)
    changed = np.flatnonzero(others != outputs)
    kept, lost = agreement[changed, outputs[changed]].sum(), agreement[changed, others[changed]].sum()
    return float((kept - lost) / np.sqrt(max(kept + lost, 1.0)))


def matching_rows(dataset: Dataset) -> Dataset:
    """A few labeled rows of each class, from which the order of the classes of an unnamed head is found."""
    named = with_names(dataset)
    if kind_of_rows(named) != "class":
        return named.select(range(min(NUM_MATCHING_ROWS, len(named))))
    num_each = max(_MIN_ROWS_OF_A_CLASS, NUM_MATCHING_ROWS // max(len(class_names(named)), 1))
    taken: Counter[int] = Counter()
    chosen = []
    for index, label in enumerate(named["label"]):
        if label is not None and taken[label] < num_each:
            taken[label] += 1
            chosen.append(index)
    return named.select(chosen)
