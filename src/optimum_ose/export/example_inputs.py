"""Token or pixel tensors that a model is traced, checked and timed with, and the names under which ONNX Runtime takes
them.
"""

import inspect
import math
from collections.abc import Mapping

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError

PIXELS = "pixel_values"
_INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
_RESERVED_POSITIONS = 2  # RoBERTa counts positions from pad_token_id + 1
_MAX_LENGTH = 512
_NUM_CHANNELS = 3
"""Of an image, where the config does not say."""


def input_names(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> tuple[str, ...]:
    """The inputs that the model takes and its tokenizer makes, in the order of the exported graph.

    Raises:
        UnsupportedModelError: if the model starts neither from token ids alone nor from pixels alone.
    """
    if getattr(model, "main_input_name", None) == PIXELS and not model.config.is_encoder_decoder:
        return (PIXELS,)
    accepted = inspect.signature(model.forward).parameters
    made = tokenizer.model_input_names if tokenizer is not None else ()
    names = tuple(name for name in _INPUT_NAMES if name in accepted and name in made)
    if "input_ids" not in names or model.config.is_encoder_decoder:
        maker = type(tokenizer).__name__ if tokenizer is not None else "no tokenizer"
        raise UnsupportedModelError(
            "Export needs a model of one stack whose input is token ids or pixels",
            f"{type(model).__name__} with {maker} has the inputs {', '.join(names) or 'none'}"
            + (" and a decoder" if model.config.is_encoder_decoder else ""),
            "Export an encoder-only or decoder-only text model with its tokenizer, or an image encoder",
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
) -> dict[str, torch.Tensor]:
    """Random token ids with mask and segments, or random pixels.

    Args:
        model: its embedding table bounds the token ids, its config gives the size of an image.
        tokenizer: gives the padding token and, with the model, the input names; None for an image model.
        batch_size: rows.
        sequence_length: tokens per row; cut to what the model can take. An image model's follows from its config.
        padded: every second row ends in a third of padding.
        generator: source of the token ids.

    Returns:
        By input name, on the CPU: int64 tensors of shape (batch_size, sequence_length), or one float32 tensor of shape
        (batch_size, channels, height, width).
    """
    names = input_names(model, tokenizer)
    if tokenizer is None or names == (PIXELS,):
        return {PIXELS: _pixels(model, batch_size, generator)}
    length = min(sequence_length, longest_sequence(model, tokenizer))
    vocabulary_size = min(len(tokenizer), _embedding_rows(model))
    ids = torch.from_numpy(generator.integers(0, vocabulary_size, size=(batch_size, length)))
    mask = torch.ones_like(ids)
    if padded:
        mask[1::2, length - length // 3 :] = 0
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    segments = torch.zeros_like(ids)
    if getattr(model.config, "type_vocab_size", 1) > 1:
        segments[:, length // 2 :] = 1
    tensors = {
        "input_ids": ids.masked_fill(mask == 0, pad_id),
        "attention_mask": mask,
        "token_type_ids": segments * mask,
    }
    return {name: tensors[name] for name in names}


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
    """Batch x tokens of text inputs, batch x height of images."""
    tensor = next(iter(inputs.values()))
    return int(tensor.shape[0]), int(tensor.shape[2 if PIXELS in inputs else 1])


def longest_sequence(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that both the model's positions and its tokenizer allow, at most 512."""
    positions = getattr(model.config, "max_position_embeddings", None) or math.inf
    return int(min(_MAX_LENGTH, positions - _RESERVED_POSITIONS, tokenizer.model_max_length))


def _pixels(model: PreTrainedModel, batch_size: int, generator: np.random.Generator) -> torch.Tensor:
    size = model.config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    shape = (batch_size, getattr(model.config, "num_channels", _NUM_CHANNELS), height, width)
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def _embedding_rows(model: PreTrainedModel) -> int:
    table = model.get_input_embeddings()
    return int(table.weight.shape[0]) if isinstance(table.weight, torch.Tensor) else 1
