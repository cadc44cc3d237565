"""The pool: the labeled new rows of the current round, which one callback fills and one collator reads."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.guards import described
from optimum_ose.wording import shown

Features = Mapping[str, Sequence[int]]
"""The model inputs of one row: `input_ids`, `attention_mask` and, where the tokenizer has them, `token_type_ids`; while
new rows are made in token classification, also `labels`, which follow their tokens."""
Label = int | Sequence[int]
"""A class index, or one per token."""
IGNORED_LABEL = -100
"""Transformers' mark for tokens without a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """One new row.

    Args:
        features: model inputs, as long as the row that they were made from.
        label: the labeler's hard label; in token classification one per token.
        soft_label: the labeler's probabilities at the label temperature, one per class, or such a list per token.
        origin: index of the row that they were made from: of the development rows, and after them the training rows.
    """

    features: Features
    label: Label
    soft_label: Sequence[float] | Sequence[Sequence[float]]
    origin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """What one round did. In token classification accuracies and agreement are shares of the labeled tokens.

    Args:
        round: 1 for the first, after `epochs_per_round` epochs; 0 for one before the first step.
        dev_accuracy: of the student when the round began. Optimistic from round 2 on: these rows steer the data.
        test_accuracy: of the same student on rows that steer nothing; None if there are none.
        num_mistakes: development rows that the student gets wrong, if only at one token.
        num_proposed: new rows that tau proposed.
        num_accepted: those at the right distance, which enter the pool.
        label_counts: their labels per class.
        gold_agreement: share of them whose label is the true one of the row that they were made from; None if there are
            none.
        betti: Betti numbers of training set and pool together, in the labeler's representation; None if not asked for.
    """

    round: int
    dev_accuracy: float
    test_accuracy: float | None
    num_mistakes: int
    num_proposed: int
    num_accepted: int
    label_counts: tuple[int, ...]
    gold_agreement: float | None
    betti: tuple[int, ...] | None


@final
class Pool:
    """The rows of one round, and what a collator must know to mix them into batches of the training set.

    Args:
        num_labels: number of classes; 0 until a callback has taken the pool.
        train_keys: `row_key` of every training row. Only batches made of such rows are mixed, never evaluation batches.
        num_train_rows: rows of the training set.
        train_answers: the labeler's distribution for each training row, by its key.
    """

    def __init__(self) -> None:
        self.num_labels = 0
        self.train_keys: frozenset[tuple[int, ...]] = frozenset()
        self.num_train_rows = 0
        self.train_answers: Mapping[tuple[int, ...], Sequence[float]] = {}
        self.round = 0
        self.rows: tuple[PoolRow, ...] = ()
        self.is_open = False

    def refill(self, rows: Iterable[PoolRow], *, round_number: int) -> None:
        """Replace the rows by those of a round (0: before the first step; -1: none yet, and round 0 is to come)."""
        self.rows = tuple(rows)
        self.round = round_number


def row_key(features: Mapping[str, Any]) -> tuple[int, ...]:
    """The token ids of a row without its padding: two rows with one key are the same text."""
    mask = features.get("attention_mask")
    ids = features["input_ids"]
    return (
        tuple(int(token) for token in ids)
        if mask is None
        else tuple(int(token) for token, attended in zip(ids, mask, strict=True) if attended)
    )


def labeled_rows(
    dataset: Iterable[Mapping[str, Any]],
    *,
    input_names: Sequence[str],
    per_token: bool = False,
    num_classes: int | None = None,
) -> tuple[list[Features], list[Label]]:
    """The model inputs and the integer labels of a tokenized data set.

    Args:
        dataset: rows with `input_ids` and `labels`; other columns than `input_names` are left out.
        input_names: the tokenizer's `model_input_names`.
        per_token: whether a row has one label per token (`IGNORED_LABEL` where there is none) instead of one.
        num_classes: classes that there are; None: any number.

    Raises:
        InvalidDataError: if the set is empty, or a row has no `input_ids` or not the right labels.
    """
    features, labels = list[Features](), list[Label]()
    for index, row in enumerate(dataset):
        if not isinstance(row, Mapping):
            raise InvalidDataError(
                "every row must be a mapping with `input_ids` and `labels`",
                f"row {index} is {described(row)}",
                "Pass one split of a tokenized data set",
            )
        label = _class_indices(row) if per_token else _class_index(row.get("labels"))
        if "input_ids" not in row or label is None:
            raise InvalidDataError(
                "every row needs the columns `input_ids` and `labels`, the latter one class index"
                + (" per token" if per_token else ""),
                f"row {index} has the columns {sorted(row)} and labels={shown(row.get('labels'))}",
                "Tokenize the data set, and rename its label column to `labels`",
            )
        _require_known(label, num_classes, index)
        features.append({name: [int(token) for token in row[name]] for name in input_names if name in row})
        labels.append(label)
    if not features:
        raise InvalidDataError("the data set needs at least one row", "it has none", "Check the split's name")
    return features, labels


def _require_known(label: Label, num_classes: int | None, index: int) -> None:
    found = (label,) if isinstance(label, int) else label
    if num_classes is not None and any(one != IGNORED_LABEL and not 0 <= one < num_classes for one in found):
        raise InvalidDataError(
            f"labels must be classes of the model, whole numbers from 0 to {num_classes - 1}",
            f"row {index} has labels={shown(label)}",
            "Use a model with as many classes as the data, or number the labels from 0",
        )


def _class_index(label: Any) -> int | None:
    """One integer of Python, numpy or torch; None for anything else."""
    try:
        return None if getattr(label, "ndim", 0) else operator.index(label)
    except TypeError:
        return None


def _class_indices(row: Mapping[str, Any]) -> tuple[int, ...] | None:
    """One integer per token; None for anything else."""
    labels: Any = row.get("labels")
    if not hasattr(labels, "__len__") or isinstance(labels, str) or len(labels) != len(row.get("input_ids", ())):
        return None
    found = [_class_index(label) for label in labels]
    return None if None in found else tuple(label for label in found if label is not None)
