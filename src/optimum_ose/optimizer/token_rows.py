"""Makes the rows of a task from a data set, labeled as the teacher's head is, and gives a new head its classes."""

from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedModel

from optimum_ose.data.groups import without_groups
from optimum_ose.data.labels import class_names, write_names
from optimum_ose.data.squad import POSITIONS
from optimum_ose.data.targets import NO_CLASS, PROBLEM_TYPES, kind_of_rows
from optimum_ose.data.tokenization import unlabeled_rows
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.tasks.parts.by_problem_type import require_fitting_head
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.task import Task
from optimum_ose.wording import listed


def rows_of(task: Task, dataset: Dataset, settings: RowSettings) -> Dataset:
    """Rows of a data set that a collator makes batches of; such rows are returned as they are.

    Args:
        task: what the rows are for.
        dataset: with the columns of the task.
        settings: how rows are made.

    Raises:
        InvalidDataError: if the columns are others, or the classes are not the teacher's.
    """
    names_outputs = task.has_labels and task.inputs.labels_name_outputs
    if settings.config is not None and names_outputs and "label" in dataset.column_names:
        require_fitting_head(kind_of_rows(dataset), settings.config)
    return task.inputs.rows(dataset, settings)


def join_unlabeled(rows: Dataset, unlabeled: Dataset) -> Dataset:
    """Labeled token rows, then unlabeled ones, whose labels are marked as missing."""
    if set(POSITIONS) <= set(rows.column_names):
        return concatenate_datasets([rows, _without_positions(unlabeled).select_columns(rows.column_names)])
    if "labels" not in rows.column_names:
        return concatenate_datasets([rows, unlabeled])
    rows = without_groups(rows)
    return concatenate_datasets([rows, unlabeled_rows(unlabeled, like=rows)])


def _without_positions(rows: Dataset) -> Dataset:
    """Token rows of questions whose answers are marked as missing."""
    rows = rows.remove_columns([name for name in POSITIONS if name in rows.column_names])
    for name in POSITIONS:
        rows = rows.add_column(name, [NO_CLASS] * len(rows))
    return rows


def give_head(teacher: PreTrainedModel, dataset: Dataset) -> None:
    """Write into a teacher's config, in place, what its new head answers: the classes, or that it answers a number.

    Raises:
        InvalidDataError: if there are no labels, or the head has not one output for each class.
    """
    if "label" not in dataset.column_names:
        raise InvalidDataError(
            "The rows that teach a new head must have the column label",
            f"they have {listed(dataset.column_names)}",
            "Rename its columns",
        )
    names, kind = class_names(dataset), kind_of_rows(dataset)
    # One that a sequence classifier before it left behind would hold for the new head.
    if kind in ("number", "classes") or getattr(teacher.config, "problem_type", None) is not None:
        problem_type: Any = PROBLEM_TYPES.get(kind)
        teacher.config.problem_type = problem_type
    num_outputs = len(names) or 1
    if teacher.config.num_labels != num_outputs:
        raise InvalidDataError(
            "A new head must have an output for each class of the training rows",
            f"the head has {teacher.config.num_labels}, the rows have {num_outputs}: {listed(names) or 'numbers'}",
            f"Load the teacher with num_labels={num_outputs}",
        )
    if names:
        write_names(teacher.config, names)
