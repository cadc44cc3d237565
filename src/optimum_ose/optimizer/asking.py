"""Asks a model in memory what a judge wants to know."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from optimum_ose.modeling.prediction import evaluating
from optimum_ose.tasks.parts.judge import Answers, Judge, Questions

_BATCH_SIZE = 32
_MAX_TOKENS = 2048
"""In one batch, padding included: a language model answers each with its whole vocabulary."""


def ask(model: PreTrainedModel, judge: Judge, questions: Questions, tokenizer: Tokenizer) -> Answers:
    """What is kept of a model's output, one array for each question, in their order.

    Args:
        model: not changed.
        judge: says what is kept.
        questions: made by the judge.
        tokenizer: pads.
    """
    rows: Sequence[Mapping[str, Any]] = questions.rows.to_list()
    is_labeled = "labels" in questions.rows.column_names
    collate: Any = (DataCollatorForTokenClassification if is_labeled else DataCollatorWithPadding)(tokenizer)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    found: list[NDArray[Any]] = [np.empty(0)] * len(rows)
    with evaluating(model):
        for members in _groups(order, [len(row["input_ids"]) for row in rows]):
            batch = {
                name: values.to(model.device) for name, values in collate([rows[index] for index in members]).items()
            }
            output = model(**{name: values for name, values in batch.items() if name != "labels"})
            answers: Sequence[torch.Tensor] = judge.answers(output, batch)
            for index, answer in zip(members, answers, strict=True):
                found[index] = answer.float().cpu().numpy()
    return found


def _groups(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Rows that share a batch, the shortest first."""
    groups: list[list[int]] = []
    for index in order:
        if groups and len(groups[-1]) < _BATCH_SIZE and (len(groups[-1]) + 1) * lengths[index] <= _MAX_TOKENS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
