"""Scores of served folders: raw rows go through `optimum_ose.serving`, and its answers are judged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PretrainedConfig

from optimum_ose.data.images import image_rows
from optimum_ose.data.labels import align_labels, head_names, row_labels
from optimum_ose.data.targets import kind_of_rows
from optimum_ose.data.words import first_tokens_of_rows, text_of
from optimum_ose.exceptions import ExportError
from optimum_ose.preprocessing import IMAGE
from optimum_ose.serialization import read_json
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.by_problem_type import require_fitting_head
from optimum_ose.tasks.parts.inputs import IMAGES
from optimum_ose.tasks.parts.token_labels import NO_TAG, OUTSIDE

MAX_DIFFERENCE = 0.002
"""By how much a served score may differ from the score of the model in memory."""


_CHUNK_IMAGES = 256
"""That are in memory at once."""


def served_scores(folder: Path, dataset: Dataset, *, task: str, file_name: str | None) -> dict[str, float]:
    """All scores of a folder on raw rows, as `OnnxPipeline` serves it.

    Args:
        folder: an exported model.
        dataset: raw rows with `label`, and `text`, maybe `text_pair`, or `tokens`, or `image`.
        task: that the folder serves.
        file_name: ONNX file relative to the folder; None: the default of `OnnxPipeline`.

    Raises:
        InvalidDataError: if the rows' classes are not the folder's.
        OutputFolderError: if a file is missing.
    """
    config = _head_of(folder)
    found = task_named(task)
    metric = found.metric(config)
    require_fitting_head(kind_of_rows(dataset), config)
    pipeline = OnnxPipeline.from_pretrained(folder, file_name=file_name)
    if found.inputs is IMAGES:
        rows = image_rows(dataset, config)
        answers = _served_images(pipeline, rows)
        return metric.judged(found.problem(config).served(answers, head_names(config)), rows["labels"][:])
    aligned = align_labels(dataset, config)
    inputs = _inputs(dataset)
    kept = [index for index, encoding in enumerate(pipeline.encodings(inputs)) if len(encoding)]  # as in `tokenize`
    aligned, inputs = aligned.select(kept), [inputs[index] for index in kept]
    if found.inputs.are_words:
        return metric.judged(_served_tags(pipeline, aligned["tokens"][:], config), aligned["label"][:])
    pipeline.check(inputs)
    answers = pipeline.answers(inputs, pipeline.rows(inputs))
    return metric.judged(found.problem(config).served(answers, head_names(config)), row_labels(aligned))


def _inputs(dataset: Dataset) -> list[TextPair]:
    """What a client sends for each row."""
    if "tokens" in dataset.column_names:
        return [(text_of(words), None) for words in dataset["tokens"]]
    pairs = dataset["text_pair"][:] if "text_pair" in dataset.column_names else [None] * len(dataset)
    return [(text, pair or None) for text, pair in zip(dataset["text"], pairs, strict=True)]


def _head_of(folder: Path) -> PretrainedConfig:
    """What a folder's config says of its head; no code that comes with a model is run."""
    content = read_json(folder / "config.json")
    kept = ("id2label", "label2id", "problem_type")
    return PretrainedConfig(**{name: content[name] for name in kept if content.get(name) is not None})


def require_same_score(
    served: Mapping[str, float], computed: Mapping[str, float], *, metric: str, num_rows: int
) -> None:
    """Pass if what a folder serves scores what its model scored in memory; one row may differ, for it may be a tie.

    Args:
        served: scores of the fp32 ONNX file.
        computed: scores of the PyTorch model.
        metric: the one that decides.
        num_rows: rows that were judged.

    Raises:
        ExportError: if the scores differ.
    """
    if abs(served[metric] - computed[metric]) > max(MAX_DIFFERENCE, 1.01 / num_rows):
        raise ExportError(
            f"The exported folder must score what its model scores, within {MAX_DIFFERENCE}",
            f"on the same {num_rows:,} rows the served onnx/model.onnx has {metric} {served[metric]:.4f}, the PyTorch "
            f"model {computed[metric]:.4f}",
            "Do not use the folder. Report the model type and its tokenizer to the authors of optimum-ose",
        )


def image_inputs(rows: Dataset) -> list[Any]:
    """What a client sends for each row of images; of arrays, which rows give as lists, the array."""
    return [np.asarray(item, dtype=np.uint8) if isinstance(item, list) else item for item in rows[IMAGE]]


def _served_images(pipeline: OnnxPipeline, rows: Dataset) -> list[Any]:
    """All labels of each image with their scores, the most probable first."""
    answers: list[Any] = []
    for start in range(0, len(rows), _CHUNK_IMAGES):
        chunk = rows.select(range(start, min(start + _CHUNK_IMAGES, len(rows))))
        answers += pipeline(image_inputs(chunk), top_k=None)
    return answers


def _served_tags(pipeline: OnnxPipeline, rows: Sequence[Sequence[str]], config: PretrainedConfig) -> list[list[int]]:
    """The tag of each word: that of its first token in what the pipeline answers to the words as one text."""
    inputs: list[TextPair] = [(text_of(words), None) for words in rows]
    answers = pipeline.answers(inputs, pipeline.rows(inputs), aggregation_strategy="none")
    first = first_tokens_of_rows(rows, pipeline.encodings(inputs))
    index = {name: number for number, name in enumerate(head_names(config))}
    found = []
    for entities, tokens in zip(answers, first, strict=True):
        labels = {entity["index"]: index[entity["entity"]] for entity in entities}
        outside = index.get(OUTSIDE, NO_TAG)
        found.append([NO_TAG if token is None else labels.get(token, outside) for token in tokens])
    return found
