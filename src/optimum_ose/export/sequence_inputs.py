"""Random tokens that are read and written, with which encoders and decoders are traced, checked and timed."""

import inspect
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.length import usable_length

_MAX_LENGTH = 512


def sequence_inputs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    batch_size: int,
    sequence_length: int,
    num_written: int,
    padded: bool = True,
    generator: np.random.Generator | None = None,
) -> dict[str, torch.Tensor]:
    """Random token ids and their mask, and token ids that the decoder has written.

    Args:
        model: its embedding table bounds the token ids.
        tokenizer: gives the padding token.
        batch_size: rows.
        sequence_length: tokens per row that are read; cut to what the model can take.
        num_written: tokens per row that are written, the start token among them.
        padded: every second row has a third of padding.
        generator: source of the token ids; None: a seeded one.

    Returns:
        `input_ids` and `attention_mask` (batch_size, sequence_length) and `decoder_input_ids` (batch_size,
        num_written), int64, on the CPU.

    Raises:
        UnsupportedModelError: if the model does not read token ids, or there is no tokenizer.
    """
    if tokenizer is None or "input_ids" not in inspect.signature(model.forward).parameters:
        raise UnsupportedModelError(
            "Export of a model with a decoder of its own needs one that reads token ids, with its tokenizer",
            f"{type(model).__name__} with {'no tokenizer' if tokenizer is None else type(tokenizer).__name__} does not",
            "Choose a model that reads texts, such as T5, BART or Marian",
        )
    draw = generator or np.random.default_rng(0)
    most = min(_MAX_LENGTH, usable_length(model.config, tokenizer) or _MAX_LENGTH)
    length, written = min(sequence_length, most), min(num_written, most)
    table: Any = model.get_input_embeddings()
    size = min(len(tokenizer), int(table.weight.shape[0]))
    ids = torch.from_numpy(draw.integers(0, size, size=(batch_size, length)))
    mask = torch.ones_like(ids)
    if padded:
        mask[1::2, length - length // 3 :] = 0
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return {
        "input_ids": ids.masked_fill(mask == 0, pad_id),
        "attention_mask": mask,
        "decoder_input_ids": torch.from_numpy(draw.integers(0, size, size=(batch_size, written))),
    }
