"""A vector for each token of a text."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import Options, Rows, RowTask, ServedTask


def _answers(pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
    return [row[None].tolist() for row in rows]


def _tensors(rows: Rows) -> dict[str, NDArray[Any]]:
    longest = max((len(row) for row in rows), default=0)
    width = rows[0].shape[1] if rows else 0
    vectors = np.zeros((len(rows), longest, width), dtype=np.float32)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        vectors[index, : len(row)], mask[index, : len(row)] = row, 1
    return {"last_hidden_state": vectors, "attention_mask": mask}


def _load(model: Model) -> RowTask:
    return RowTask(
        answers=_answers,
        outputs=(("last_hidden_state", "FP32", [-1, -1, -1]), ("attention_mask", "INT64", [-1, -1])),
        tensors=_tensors,
        answer_values=lambda pairs, rows, top_k: sum(row.size for row in rows),
    )


SERVED = ServedTask(load=_load, heads=("Model",), is_on_cards=True)
"""Of models without a head."""
