"""Makes the rows of a task from a data set, labeled as the teacher's head is."""

from collections.abc import Callable
from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import PretrainedConfig, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from optimum_ose.data.images import image_rows
from optimum_ose.data.labels import align_labels, class_names, with_names, write_names
from optimum_ose.data.targets import PROBLEM_TYPES, kind_of_rows
from optimum_ose.data.tokenization import tokenize, unlabeled_rows
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.by_problem_type import require_fitting_head
from optimum_ose.wording import listed


def token_rows(
    dataset: Dataset,
    config: PretrainedConfig | None,
    tokenizer: Preprocessor,
    *,
    task: str,
    max_length: int,
    needs_labels: bool = True,
    on_cut: Callable[[int], None] | None = None,
) -> Dataset:
    """Token rows of a data set, or rows of images; rows that are made already are returned as they are.

    Args:
        dataset: with the columns `text`, maybe `text_pair`, or for token classification `tokens`, of images
            `image`; and `label`.
        config: of a teacher whose head is trained; classes get its numbers. None: they keep their own.
        tokenizer: the teacher's; its image processor, where rows hold images.
        task: tasks without labels of people leave a `label` column out.
        max_length: tokens per row.
        needs_labels: whether a task with labels insists on them.
        on_cut: hears how many rows are longer than `max_length`, and are cut.

    Raises:
        InvalidDataError: if the columns are others, or the classes are not the teacher's.
    """
    found = task_named(task)
    if config is not None and found.has_labels and "label" in dataset.column_names:
        require_fitting_head(kind_of_rows(dataset), config)
    if isinstance(tokenizer, BaseImageProcessor):
        return image_rows(dataset, config, needs_labels=needs_labels)
    columns = set(dataset.column_names)
    is_labeled = found.has_labels
    if {"input_ids", "labels"} <= columns or ("input_ids" in columns and not (is_labeled and needs_labels)):
        return dataset
    text = found.inputs.column
    wanted = {text, "label"} if is_labeled and needs_labels else {text}
    if not wanted <= columns:
        pair = " (maybe text_pair)" if not found.inputs.are_words else ""
        raise InvalidDataError(
            f"A data set must have the columns {text}{pair} and label, or input_ids and labels"
            if "label" in wanted
            else f"A data set must have the column {text}{pair}, or input_ids",
            f"it has {', '.join(dataset.column_names)}",
            "Rename its columns",
        )
    if "label" not in columns or not is_labeled:
        return tokenize(dataset.remove_columns(columns & {"label"}), tokenizer, max_length=max_length, on_cut=on_cut)
    dataset = align_labels(dataset, config) if config is not None else with_names(dataset)
    return tokenize(dataset, tokenizer, max_length=max_length, on_cut=on_cut)


def join_unlabeled(rows: Dataset, unlabeled: Dataset) -> Dataset:
    """Labeled token rows, then unlabeled ones, whose labels are marked as missing."""
    if "labels" not in rows.column_names:
        return concatenate_datasets([rows, unlabeled])
    return concatenate_datasets([rows, unlabeled_rows(unlabeled, like=rows)])


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
