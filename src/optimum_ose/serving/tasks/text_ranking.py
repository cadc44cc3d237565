"""Scores of documents for a query."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import Options, Rows, RowTask, ServedTask


def _answers(pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
    return [{"score": float(row[0])} for row in rows]


def _tensors(rows: Rows) -> dict[str, NDArray[Any]]:
    return {"score": np.array([row[0] for row in rows], dtype=np.float32)}


def _load(model: Model) -> RowTask:
    return RowTask(answers=_answers, outputs=(("score", "FP32", [-1]),), tensors=_tensors, may_be_empty=True)


SERVED = ServedTask(
    load=_load,
    heads=("ForSequenceClassification",),
    is_marked=True,
    num_axes=2,
    is_on_cards=True,
    is_in_transformers=False,
    is_in_javascript=False,
    gives="relevance",
)
"""A number for each query with a document; the greater the better."""
