"""Makes token rows of a data set of texts, labeled as the teacher's head is."""

from collections.abc import Sequence
from typing import Any, cast

from datasets import Dataset
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from optimum_ose.data.labels import align_labels, row_labels, with_names
from optimum_ose.data.tokenization import tokenize
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.tasks.parts.inputs import RowSettings


def token_rows(dataset: Dataset, settings: RowSettings, *, column: str, pair: str = "") -> Dataset:
    """Token rows of a data set; rows that are made already are returned as they are.

    Args:
        dataset: with the column of texts or words, and `label`.
        settings: how they are made.
        column: of the texts.
        pair: in a message, what may stand beside it.

    Raises:
        InvalidDataError: if the columns are others, or the classes are not the teacher's.
    """
    columns = set(dataset.column_names)
    wants_labels = settings.is_labeled and settings.needs_labels
    if {"input_ids", "labels"} <= columns or ("input_ids" in columns and not wants_labels):
        return dataset
    if not ({column, "label"} if wants_labels else {column}) <= columns:
        raise InvalidDataError(
            f"A data set must have the columns {column}{pair} and label, or input_ids and labels"
            if wants_labels
            else f"A data set must have the column {column}{pair}, or input_ids",
            f"it has {', '.join(dataset.column_names)}",
            "Rename its columns",
        )
    if "label" in columns:
        dataset = aligned_rows(dataset, settings.config) if settings.is_labeled else dataset.remove_columns("label")
    tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
    return tokenize(dataset, tokenizer, max_length=settings.max_length, on_cut=settings.on_cut)


def require_column(dataset: Dataset, column: str) -> None:
    """Pass if a data set without labels has its column of texts.

    Raises:
        InvalidDataError: if it has not.
    """
    if column not in dataset.column_names:
        raise InvalidDataError(
            f"A data set must have the column {column}, or input_ids",
            f"it has {', '.join(dataset.column_names)}",
            "Rename its columns",
        )


def aligned_rows(dataset: Dataset, config: PretrainedConfig | None) -> Dataset:
    """Rows whose `label` has the numbers of a trained head; without one, their own."""
    return align_labels(dataset, config) if config is not None else with_names(dataset)


def row_references(dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
    """The class, the set of classes or the number of each row, numbered as the head's are."""
    if "label" not in dataset.column_names:
        return cast(Sequence[Any], dataset["labels"][:])
    return row_labels(aligned_rows(dataset.select_columns(["label"]), config))
