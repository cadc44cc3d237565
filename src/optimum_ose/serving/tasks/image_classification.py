"""Labels of images with their scores."""

from functools import partial
from typing import Any

import numpy as np

from optimum_ose.serving.image_model import ImageModel, image_size
from optimum_ose.serving.served_task import DirectTask, Options, ServedTask
from optimum_ose.serving.tasks.parts.labels import Labels

_DEFAULT_LABELS = 5
"""As many as transformers gives."""


def _answer(model: ImageModel, labels: Labels, inputs: Any, options: Options) -> Any:
    images = inputs if isinstance(inputs, list) else [inputs]
    top_k = _DEFAULT_LABELS if options.is_best else options.top_k
    answers = [labels.ranked(row, top_k) for row in model.rows(images, batch_size=options.batch_size)]
    return answers if isinstance(inputs, list) else answers[0]


def _load(model: ImageModel) -> DirectTask:
    return DirectTask(
        answer=partial(_answer, model, Labels(model.config)),
        refusal="takes images",
        trial=np.zeros((*image_size(model.config), 3), dtype=np.uint8),
        takes_files=True,
    )


SERVED = ServedTask(
    load=_load,
    reads="images",
    heads=("ForImageClassification",),
    num_axes=2,
    is_on_cards=True,
    example="path/to/an/image.png",
    names_classes=True,
)
"""A class, a set of classes or a number for each image."""
