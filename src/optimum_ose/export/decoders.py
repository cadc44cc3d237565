"""What the graphs of an encoder with a decoder compute, and how their tensors are called."""

import inspect
from collections.abc import Mapping
from typing import Any, final

import torch
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.export.past import PAST, PRESENT, cache_tensors
from optimum_ose.modeling.trial import is_pair

STATES, MASK = "encoder_hidden_states", "encoder_attention_mask"
"""What a decoder takes of the encoder."""
STACKS = ("decoder", "encoder")
"""Whose keys and values are kept: of the tokens that were written, and of those that were read."""


def writes_sequences(model: PreTrainedModel) -> bool:
    """Whether a model reads with an encoder and writes with a decoder, token after token."""
    return is_pair(model) and "encoder_outputs" in inspect.signature(model.forward).parameters


def cache_names(prefix: str, num_layers: int, stacks: tuple[str, ...] = STACKS) -> tuple[str, ...]:
    """`prefix.0.decoder.key`, `prefix.0.decoder.value`, `prefix.0.encoder.key`, ...: the names that other runtimes
    look for.
    """
    return tuple(
        f"{prefix}.{layer}.{stack}.{kind}"
        for layer in range(num_layers)
        for stack in stacks
        for kind in ("key", "value")
    )


def is_of(name: str, stack: str) -> bool:
    """Whether a tensor of the past is of one of the two stacks."""
    return name.startswith((PAST, PRESENT)) and f".{stack}." in name


@final
class Encoder(torch.nn.Module):
    """What is read, as `last_hidden_state` (batch, encoder tokens, width)."""

    inputs = ("input_ids", "attention_mask")
    outputs = ("last_hidden_state",)

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.encoder: Any = model.get_encoder()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Of token ids and mask, int64 (batch, encoder tokens)."""
        found: torch.Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, return_dict=True
        ).last_hidden_state
        return found


@final
class FirstStep(torch.nn.Module):
    """The first tokens that are written, and the keys and values of both stacks."""

    inputs = (MASK, "input_ids", STATES)

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, mask: torch.Tensor, ids: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits (batch, tokens, vocabulary), then keys and values in the order of `cache_names`."""
        output = _answer(self.model, mask, ids, states, past=None)
        return output.logits, *both_caches(output.past_key_values)


@final
class NextStep(torch.nn.Module):
    """Further tokens, given the keys and values of those before them."""

    def __init__(self, model: PreTrainedModel, *, num_layers: int) -> None:
        super().__init__()
        self.model = model
        self.inputs = (MASK, "input_ids", STATES, *cache_names(PAST, num_layers))

    def forward(
        self, mask: torch.Tensor, ids: torch.Tensor, states: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Logits (batch, tokens, vocabulary), then keys and values of what was written."""
        own = DynamicCache(list(zip(past[0::4], past[1::4], strict=True)))
        read = DynamicCache(list(zip(past[2::4], past[3::4], strict=True)))
        output = _answer(self.model, mask, ids, states, past=EncoderDecoderCache(own, read))
        return output.logits, *cache_tensors(output.past_key_values.self_attention_cache)


def both_caches(cache: Any) -> tuple[torch.Tensor, ...]:
    """Keys and values of both stacks, layer by layer.

    Raises:
        UnsupportedModelError: if they are kept in another form.
    """
    if not isinstance(cache, EncoderDecoderCache):
        raise UnsupportedModelError(
            "A decoder must keep keys and values of what it wrote and of what was read",
            f"this one keeps {type(cache).__name__}",
            "Export another model type, such as T5, BART or Marian",
        )
    stacks = [cache_tensors(stack) for stack in (cache.self_attention_cache, cache.cross_attention_cache)]
    pairs = [list(zip(tensors[::2], tensors[1::2], strict=True)) for tensors in stacks]
    return tuple(tensor for layer in zip(*pairs, strict=True) for pair in layer for tensor in pair)


def _answer(model: PreTrainedModel, mask: torch.Tensor, ids: torch.Tensor, states: torch.Tensor, *, past: Any) -> Any:
    make: Any = model
    encoded = BaseModelOutput(last_hidden_state=states)
    given: Mapping[str, Any] = {"attention_mask": mask, "decoder_input_ids": ids, "encoder_outputs": encoded}
    return make(**given, past_key_values=past, use_cache=True, return_dict=True)


def free_axes(name: str) -> dict[int, str]:
    """Which axes of a tensor of these graphs are free, with their names."""
    if is_of(name, "encoder"):
        return {0: "batch", 2: "encoder_sequence"}
    if is_of(name, "decoder"):
        return {0: "batch", 2: "past_sequence" if name.startswith(PAST) else "total_sequence"}
    is_read = name in {STATES, MASK, "attention_mask", "last_hidden_state"}
    return {0: "batch", 1: "encoder_sequence" if is_read else "sequence"}
