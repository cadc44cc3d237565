"""Rows of images, each with a label of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig
from transformers.image_processing_utils import BaseImageProcessor

from optimum_ose.data.image_folder import image_splits
from optimum_ose.data.images import image_rows
from optimum_ose.data.labels import head_names
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.preprocessing import IMAGE
from optimum_ose.serving.images import rgb_image
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.samples import labels_in_words, labels_of_files, true_label
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.token_rows import row_references


@final
@dataclass(frozen=True, slots=True)
class ImageInputs:
    """An image."""

    name: str = "images"
    processor: type = BaseImageProcessor
    processor_name: str = "an image processor"
    takes_agora: bool = False
    can_be_copied: bool = False
    labels_name_outputs: bool = True

    def read(self, request: DataRequest) -> Splits:
        """Rows with `image` and `label`."""
        return image_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Rows of images, which are processed when their batch is made."""
        return image_rows(dataset, settings.config, needs_labels=settings.needs_labels)

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the labels of the rows."""
        return metric.scores(answers, rows)

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the labels of the rows."""
        rows = image_rows(dataset, config)
        answers = labels_of_files(pipeline, rows, image_inputs)
        return ServedAnswers(
            metric=metric, predictions=problem.served(answers, head_names(config)), references=rows["labels"][:]
        )

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """Classes, sets of classes or numbers."""
        return row_references(dataset, config)

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """The sizes of images with their labels."""
        if not {IMAGE, "label"} <= set(dataset.column_names):
            return []
        inputs = image_inputs(dataset)
        told = [f"{image.width} x {image.height} pixels" for image in map(rgb_image, inputs)]
        answers = labels_in_words(pipeline, inputs, dataset)
        return [
            {"text": f"image {row}, {size}", "gold": true_label(dataset, row), **answer}
            for row, (size, answer) in enumerate(zip(told, answers, strict=True))
        ]


def image_inputs(rows: Dataset) -> list[Any]:
    """What a client sends for each row of images; of arrays, which rows give as lists, the array."""
    return [np.asarray(item, dtype=np.uint8) if isinstance(item, list) else item for item in rows[IMAGE]]


IMAGES = ImageInputs()
"""An image."""
