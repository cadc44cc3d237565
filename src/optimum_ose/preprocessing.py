"""What makes inputs of raw rows: a tokenizer, or an image processor that works batch by batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, ProcessorMixin, SequenceFeatureExtractor, default_data_collator
from transformers.image_processing_utils import BaseImageProcessor

if TYPE_CHECKING:
    from PIL.Image import Image

Preprocessor = PreTrainedTokenizerBase | BaseImageProcessor | SequenceFeatureExtractor | ProcessorMixin
"""A tokenizer, or in its place for images an image processor, for sounds a feature extractor, for sounds with texts a
processor of both.
"""
Collate = Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]]
"""Makes a batch of rows."""
LABELS = ("labels", "start_positions", "end_positions")
"""Columns of rows that say what is right."""
NUM_SAMPLES = "num_samples"
"""Of each sound of a padded batch of speech."""
NO_INPUTS = (*LABELS, NUM_SAMPLES)
"""What stands in batches beside the inputs of the model."""
WRITTEN, WRITTEN_MASK = "decoder_input_ids", "decoder_attention_mask"
"""Columns of the tokens that a decoder gets, the start token first, and of their mask: of rows with a text to write."""
SOUND = "audio"
"""Column of the sounds, float32 of shape (samples,) at the rate of their feature extractor."""
IMAGE = "image"
"""Column of the images; they stay as they are until their batch is made."""


def text_tokenizer(preprocessor: Preprocessor) -> PreTrainedTokenizerBase | None:
    """The tokenizer; None where the inputs are images."""
    return preprocessor if isinstance(preprocessor, PreTrainedTokenizerBase) else None


def row_lengths(rows: Dataset) -> list[int]:
    """Tokens or samples of each row, of several choices those of the longest; images are all of length 1."""
    column = next((name for name in ("input_ids", SOUND) if name in rows.column_names), None)
    if column is None:
        return [1] * len(rows)
    return [max(map(len, values)) if holds_choices(values) else len(values) for values in rows[column]]


def num_answers(rows: Dataset) -> list[int]:
    """Tokens of each row that a model which answers each token answers: those that are written, else those that are
    read.
    """
    return [len(ids) for ids in rows[WRITTEN if WRITTEN in rows.column_names else "input_ids"]]


def holds_choices(ids: Sequence[Any]) -> bool:
    """Whether the `input_ids` of a row are a list for each of several choices."""
    return bool(len(ids)) and isinstance(ids[0], list)


def choices_apart(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Model inputs of each choice of a row; of a row without choices its own."""
    if not holds_choices(row.get("input_ids", ())):
        return [dict(row)]
    return [dict(zip(row, values, strict=True)) for values in zip(*row.values(), strict=True)]


def process_images(processor: BaseImageProcessor) -> Collate:
    """A collator: `pixel_values` of the column `image`, float32 of shape (rows, channels, height, width); of all other
    columns, such as `labels` and a teacher's answers, tensors.
    """

    def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        pixels = processor([rgb(row[IMAGE]) for row in rows], return_tensors="pt")["pixel_values"]
        others = default_data_collator([{name: row[name] for name in row if name != IMAGE} for row in rows])
        return {"pixel_values": pixels, **others}

    return collate


def process_sounds(extractor: SequenceFeatureExtractor) -> Collate:
    """A collator: what the feature extractor makes of the column `audio`, padded to the longest; of all other columns
    tensors.
    """

    def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        sounds = [np.asarray(row[SOUND], dtype=np.float32) for row in rows]
        make: Any = extractor
        made = make(sounds, sampling_rate=extractor.sampling_rate, padding=True, return_tensors="pt")
        others = default_data_collator([{name: row[name] for name in row if name != SOUND} for row in rows])
        return {**made, **others}

    return collate


def process_speech(processor: Any) -> Collate:
    """A collator of sounds with texts: what the feature extractor makes of the column `audio`, `num_samples` of each
    sound, and `labels`, if there are any, padded with -100.
    """
    collate_sounds = process_sounds(processor.feature_extractor)

    def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        batch = collate_sounds([{SOUND: row[SOUND]} for row in rows])
        batch[NUM_SAMPLES] = torch.tensor([len(row[SOUND]) for row in rows])
        if "labels" in rows[0]:
            labels = [torch.as_tensor(row["labels"], dtype=torch.long) for row in rows]
            batch["labels"] = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
        return batch

    return collate


def without_lengths(collate: Collate) -> Collate:
    """The same collator for a Trainer, which passes all of a batch to the model."""
    return lambda rows: {name: values for name, values in collate(rows).items() if name != NUM_SAMPLES}


def rgb(image: Any) -> "Image":
    """An image with three channels.

    Args:
        image: of Pillow, or whole numbers 0 to 255 of shape (height, width) or (height, width, channels).
    """
    from PIL.Image import Image, fromarray  # not installed where only text is read

    return (image if isinstance(image, Image) else fromarray(np.asarray(image, dtype=np.uint8))).convert("RGB")
