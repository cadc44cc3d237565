"""Labels of texts with their scores."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import Options, Rows, RowTask, ServedTask
from optimum_ose.serving.tasks.parts.labels import Labels


def _answers(labels: Labels, pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
    top_k = 1 if options.is_best else options.top_k
    return [labels.ranked(row, top_k, is_raw=options.is_raw) for row in rows]


def _formed(answers: list[Any], inputs: object, options: Options) -> Any:
    if not options.is_best:
        return answers if isinstance(inputs, list) else answers[0]
    best = [answer[0] for answer in answers]
    return best[0] if isinstance(inputs, Mapping) else best


def _tensors(labels: Labels, rows: Rows) -> dict[str, NDArray[Any]]:
    scores = np.array([labels.scores(row) for row in rows], dtype=np.float32).reshape(len(rows), -1 if rows else 0)
    best = scores.argmax(axis=1) if rows else np.zeros(0, dtype=np.int64)
    names = np.array([labels.name(int(index)) for index in best], dtype=object)
    return {"label": names, "score": scores[np.arange(len(rows)), best], "scores": scores}


def _load(model: Model) -> RowTask:
    labels = Labels(model.config)
    return RowTask(
        answers=partial(_answers, labels),
        outputs=(("label", "BYTES", [-1]), ("score", "FP32", [-1]), ("scores", "FP32", [-1, -1])),
        tensors=partial(_tensors, labels),
        may_be_empty=True,
        formed=_formed,
    )


SERVED = ServedTask(
    load=_load,
    heads=("ForSequenceClassification",),
    num_axes=2,
    is_on_cards=True,
    names_classes=True,
    gives="labels",
)
"""A class, a set of classes or a number for each text."""
