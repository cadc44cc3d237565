"""A vector for each text, pooled inside of the ONNX file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import Options, Rows, RowTask, ServedTask

_OUTPUT = "sentence_embedding"


def _answers(pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
    return [row.tolist() for row in rows]


def _tensors(rows: Rows) -> dict[str, NDArray[Any]]:
    return {_OUTPUT: np.array(rows, dtype=np.float32).reshape(len(rows), -1 if rows else 0)}


def _load(model: Model) -> RowTask:
    return RowTask(
        answers=_answers,
        outputs=((_OUTPUT, "FP32", [-1, -1]),),
        tensors=_tensors,
        may_be_empty=True,
        answer_values=lambda pairs, rows, top_k: sum(row.size for row in rows),
    )


SERVED = ServedTask(load=_load, output=_OUTPUT, num_axes=2, gives="vectors")
"""Of files with pooling inside."""
