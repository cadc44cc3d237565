"""Copies of rows of text in which words give way to their neighbors: more questions for the teacher to answer."""

from typing import Any

import numpy as np
from datasets import Dataset

from optimum_ose.configuration import DistillationConfig
from optimum_ose.data.given import plain_dataset
from optimum_ose.data.groups import without_groups
from optimum_ose.data.tokenization import TEACHER_LOGITS
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.finetuning.perturbation import NeighborReplacement, input_embeddings
from optimum_ose.optimizer.teacher_task import TeacherTask
from optimum_ose.optimizer.token_rows import join_unlabeled
from optimum_ose.tasks import task_named

_NUM_NEIGHBORS = 10
"""Of a word, one of which replaces it; Agora's default as well."""


def require_copyable(task: TeacherTask) -> None:
    """Pass if words of the task's rows can be replaced, and the teacher answers what comes of it.

    Raises:
        InvalidConfigError: if rows are no texts or words, or the task is to guess the words themselves.
        UnsupportedModelError: if the teacher has no matrix of input embeddings.
    """
    if task.text_tokenizer is None or not task.problem.is_kept or not task_named(task.task).inputs.can_be_copied:
        raise InvalidConfigError(
            "num_augmented_copies needs a task in which rows of text have an answer of their own",
            f"the task is {task.task}",
            "Leave num_augmented_copies at 0",
        )
    input_embeddings(task.teacher)


def augmented_copies(task: TeacherTask, dataset: Dataset, config: DistillationConfig) -> Dataset:
    """`config.num_augmented_copies` token rows of each row, without labels; the same rows have the same copies.

    Raises:
        InvalidConfigError, UnsupportedModelError: as `require_copyable`.
    """
    require_copyable(task)
    tokenizer: Any = task.text_tokenizer
    replace_words = NeighborReplacement.among_embeddings_of(
        task.teacher, tokenizer, probability=config.replacement_probability, num_neighbors=_NUM_NEIGHBORS
    )
    rows = without_groups(task.rows(dataset, needs_labels=False))
    inputs = rows.remove_columns([name for name in ("labels", TEACHER_LOGITS) if name in rows.column_names])
    sources = inputs.to_list()
    made = [
        dict(row)
        for copy in range(config.num_augmented_copies)
        for row in replace_words(sources, generator=np.random.default_rng(copy))
    ]
    return Dataset.from_list(made, features=inputs.features)


def rows_to_learn(
    task: TeacherTask,
    dataset: Dataset,
    unlabeled_dataset: Dataset | None,
    config: DistillationConfig,
    *,
    keeps_answers: bool,
) -> Dataset:
    """The token rows of a distillation: those of a data set, of further texts without labels, and copies.

    Args:
        task: makes rows, and answers them.
        dataset: rows with labels, where the task has them.
        unlabeled_dataset: further texts, if there are any.
        config: says how many copies are made.
        keeps_answers: whether the rows get the teacher's answers here.

    Raises:
        InvalidDataError: if a set is no data set, or empty.
        InvalidConfigError, UnsupportedModelError: as `require_copyable`.
    """
    plain = plain_dataset(dataset, "train_dataset")
    texts = task.checked_unlabeled(unlabeled_dataset)
    further = [] if texts is None else [texts]
    if config.num_augmented_copies:
        require_copyable(task)
    rows_of = task.answered_rows if keeps_answers else task.rows
    rows = rows_of(plain)
    if config.num_augmented_copies:
        further.append(augmented_copies(task, plain, config))
    for unlabeled in further:
        rows = join_unlabeled(rows, rows_of(unlabeled, needs_labels=False))
    return rows
