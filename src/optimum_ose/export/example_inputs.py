"""Tokens, pixels or sound that a model is traced, checked and timed with, and their names in the exported graph."""

import inspect
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.export.past import is_causal_language_model
from optimum_ose.modeling.length import usable_length
from optimum_ose.modeling.model_inputs import NUM_SAMPLES, takes_choices

PIXELS, WAVES, SPECTRUM = "pixel_values", "input_values", "input_features"
"""Main inputs of models of images, of sound as it is recorded, and of sound by frequencies."""
_INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
_MAX_LENGTH = 512
_NUM_CHANNELS = 3
"""Of an image, where the config does not say."""
_SAMPLES_PER_FRAME = 320
"""Of sound, where the config has no strides."""


def input_names(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> tuple[str, ...]:
    """The inputs that the model takes and its tokenizer makes, in the order of the exported graph.

    Raises:
        UnsupportedModelError: if the model has a decoder of its own, or starts neither from token ids alone nor from
            pixels or sound alone.
    """
    accepted = inspect.signature(model.forward).parameters
    has_decoder = "decoder_input_ids" in accepted
    main = getattr(model, "main_input_name", None)
    if main in {PIXELS, WAVES, SPECTRUM} and not has_decoder:
        return (str(main),)
    made = set(tokenizer.model_input_names if tokenizer is not None else ())
    if is_causal_language_model(model):  # no runtime that goes on from a past feeds them
        made -= {"token_type_ids"}
    names = tuple(name for name in _INPUT_NAMES if name in accepted and name in made)
    if "input_ids" not in names or has_decoder:
        maker = type(tokenizer).__name__ if tokenizer is not None else "no tokenizer"
        raise UnsupportedModelError(
            "Export needs a model of one stack whose input is token ids, pixels or sound",
            f"{type(model).__name__} with {maker} has the inputs {', '.join(names) or 'none'}"
            + (" and a decoder" if has_decoder else ""),
            "Export an encoder-only or decoder-only text model with its tokenizer, or an encoder of images or sound, "
            "such as T5EncoderModel or model.get_encoder()",
        )
    return names


def example_inputs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    batch_size: int,
    sequence_length: int,
    padded: bool,
    generator: np.random.Generator,
    padding_side: Literal["left", "right"] = "right",
) -> dict[str, torch.Tensor]:
    """Random token ids with mask and segments, or random pixels or sound.

    Args:
        model: its embedding table bounds the token ids, its config gives the size of an image or spectrum.
        tokenizer: gives the padding token and, with the model, the input names; None for images or sound.
        batch_size: rows.
        sequence_length: tokens per row; cut to what the model can take. Frames of a sound; that of an image or spectrum
            follows from the config.
        padded: every second row has a third of padding.
        generator: source of the token ids.
        padding_side: where that is.

    Returns:
        By input name, on the CPU: int64 tensors of shape (batch_size, sequence_length), or one float32 tensor of shape
        (batch_size, channels, height, width), (batch_size, samples) or (batch_size, bands, frames).
    """
    names = input_names(model, tokenizer)
    if tokenizer is None or "input_ids" not in names:
        shape = _shape(model, names[0], batch_size, sequence_length)
        return {names[0]: torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))}
    length = min(sequence_length, longest_sequence(model, tokenizer))
    vocabulary_size = min(len(tokenizer), _embedding_rows(model))
    ids = torch.from_numpy(generator.integers(0, vocabulary_size, size=(batch_size, length)))
    mask = torch.ones_like(ids)
    if padded:
        mask[1::2, slice(length // 3) if padding_side == "left" else slice(length - length // 3, None)] = 0
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    segments = torch.zeros_like(ids)
    if getattr(model.config, "type_vocab_size", 1) > 1:
        segments[:, length // 2 :] = 1
    tensors = {
        "input_ids": ids.masked_fill(mask == 0, pad_id),
        "attention_mask": mask,
        "token_type_ids": segments * mask,
    }
    return {name: _in_choices(model, tensors[name]) for name in names}


def _in_choices(model: PreTrainedModel, rows: torch.Tensor) -> torch.Tensor:
    """The rows; for a model of choices those of questions, with two choices where the number of rows allows it."""
    if not takes_choices(model):
        return rows
    num_choices = 2 if len(rows) % 2 == 0 else 1
    return rows.reshape(-1, num_choices, rows.shape[-1])


def timing_inputs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, *, batch_size: int, sequence_length: int
) -> dict[str, torch.Tensor]:
    """The inputs of every timing: full rows without padding, the same for every candidate."""
    return example_inputs(
        model,
        tokenizer,
        batch_size=batch_size,
        sequence_length=sequence_length,
        padded=False,
        generator=np.random.default_rng(0),
    )


def rows_and_length(inputs: Mapping[str, torch.Tensor]) -> tuple[int, int]:
    """Batch x tokens of text inputs, x height of images, x samples or frames of sound."""
    tensor = next(iter(inputs.values()))
    return int(tensor.shape[0]), int(tensor.shape[1 if tensor.ndim == 2 else 2])


def described_input(model: PreTrainedModel, *, num_frames: int | None = None) -> dict[str, str]:
    """What stands in a record of measurements instead of a number of tokens: `input`, "224 x 224 pixels" or "16,000
    samples". Empty unless the model takes images or waveforms.

    Args:
        model: that was measured.
        num_frames: of a waveform; None: it had the length for which operations are counted.
    """
    name = getattr(model, "main_input_name", None)
    if name == PIXELS:
        height, width = _shape(model, PIXELS, 1, 1)[2:]
        return {"input": f"{height} x {width} pixels"}
    if name == WAVES:
        num_samples = NUM_SAMPLES if num_frames is None else _shape(model, WAVES, 1, num_frames)[1]
        return {"input": f"{num_samples:,} samples"}
    return {}


def frames_of(model: PreTrainedModel, num_samples: int) -> int:
    """Frames that a model makes of a waveform, rounded up."""
    return math.ceil(num_samples / _shape(model, WAVES, 1, 1)[1])


def longest_sequence(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that both the model's positions and its tokenizer allow, at most 512."""
    return min(_MAX_LENGTH, usable_length(model.config, tokenizer) or _MAX_LENGTH)


def _shape(model: PreTrainedModel, name: str, batch_size: int, num_frames: int) -> tuple[int, ...]:
    """Of an image or a sound."""
    config = model.config
    if name == WAVES:
        return batch_size, num_frames * math.prod(getattr(config, "conv_stride", None) or (_SAMPLES_PER_FRAME,))
    if name == SPECTRUM:
        return batch_size, config.num_mel_bins, 2 * config.max_source_positions
    height, width = (config.image_size,) * 2 if isinstance(config.image_size, int) else config.image_size
    return batch_size, getattr(config, "num_channels", _NUM_CHANNELS), height, width


def _embedding_rows(model: PreTrainedModel) -> int:
    table = model.get_input_embeddings()
    return int(table.weight.shape[0]) if isinstance(table.weight, torch.Tensor) else 1
