"""Keys and values of earlier tokens, which a causal language model takes and gives so as to go on from them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

PAST, PRESENT = "past_key_values", "present"
"""What the names of these tensors start with, in a graph's inputs and outputs."""
_CAUSAL = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())


def is_causal_language_model(model: PreTrainedModel) -> bool:
    """Whether a model continues texts; the other one-stack models do not go on from a past."""
    return type(model).__name__ in _CAUSAL


def past_shapes(model: PreTrainedModel) -> tuple[tuple[int, int], ...]:
    """Heads and width of the keys, then of the values, of every layer; empty for a model that keeps none.

    Args:
        model: a causal language model keeps them if every layer attends; no other model does here.
    """
    if not is_causal_language_model(model) or "past_key_values" not in inspect.signature(model.forward).parameters:
        return ()
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    with torch.inference_mode():
        output = model(input_ids=token, attention_mask=torch.ones_like(token), use_cache=True, return_dict=True)
    cache = output.get("past_key_values")
    if not isinstance(cache, DynamicCache):
        return ()
    tensors = cache_tensors(cache)
    if any(tensor is None or tensor.ndim != 4 for tensor in tensors):
        return ()
    return tuple((int(tensor.shape[1]), int(tensor.shape[3])) for tensor in tensors)


def random_past(model: PreTrainedModel, batch_size: int, num_tokens: int) -> dict[str, torch.Tensor]:
    """Keys and values for the tracer, by input name; nothing for a model that keeps none."""
    shapes = past_shapes(model)
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn((batch_size, heads, num_tokens, width), generator=generator)
        for name, (heads, width) in zip(past_names(PAST, len(shapes)), shapes, strict=True)
    }


def past_names(prefix: str, num_tensors: int) -> tuple[str, ...]:
    """`prefix.0.key`, `prefix.0.value`, `prefix.1.key`, ...: the names that other runtimes look for."""
    return tuple(f"{prefix}.{place // 2}.{('key', 'value')[place % 2]}" for place in range(num_tensors))


def cache_tensors(cache: Any) -> list[torch.Tensor]:
    """Keys and values of a cache, layer by layer, each (batch, heads, tokens, width)."""
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def decoding_arguments(
    model: PreTrainedModel, mask: torch.Tensor, past: Sequence[torch.Tensor], num_tokens: int | torch.Tensor
) -> dict[str, Any]:
    """What a model's forward pass takes beside token ids and mask, to go on from earlier tokens.

    Positions are counted from the mask, as `generate` does, so that padding on the left does not shift a text.

    Args:
        model: a causal language model.
        mask: int64 (batch, past + new tokens).
        past: keys and values in the order of `past_names`.
        num_tokens: new tokens.
    """
    arguments: dict[str, Any] = {"past_key_values": DynamicCache(list(zip(past[::2], past[1::2], strict=True)))}
    if "position_ids" in inspect.signature(model.forward).parameters:
        arguments["position_ids"] = positions(mask)[:, -num_tokens:]
    return {**arguments, "use_cache": True}


def positions(mask: torch.Tensor) -> torch.Tensor:
    """The place of each token among those that are not padding, from 0; int64 (batch, tokens)."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def empty_past(session: onnxruntime.InferenceSession, batch_size: int) -> dict[str, NDArray[np.float32]]:
    """The keys and values of no tokens at all, as a graph takes them; nothing for a graph that takes none."""
    found = [item for item in session.get_inputs() if item.name.startswith(PAST)]
    return {item.name: np.zeros((batch_size, item.shape[1], 0, item.shape[3]), dtype=np.float32) for item in found}


def logits_in_parts(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, NDArray[np.int64]], ends: Sequence[int]
) -> NDArray[np.float32]:
    """Logits (batch, tokens, vocabulary) of a text that the graph gets in several parts, each with the past so far.

    Args:
        session: on a graph with past.
        inputs: `input_ids` and `attention_mask` of the whole text.
        ends: where each part ends; the last one is the number of tokens.
    """
    past: dict[str, NDArray[np.float32]] = empty_past(session, len(inputs["input_ids"]))
    names = [item.name for item in session.get_outputs()]
    taken = {item.name for item in session.get_inputs()}
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    parts, start = [], 0
    for end in ends:
        feeds: dict[str, Any] = {"input_ids": ids[:, start:end], "attention_mask": mask[:, :end]}
        given = {name: feed for name, feed in (feeds | past).items() if name in taken}
        found = dict(zip(names, session.run(None, given), strict=True))
        parts.append(found["logits"])
        past = {name: found[name.replace(PAST, PRESENT, 1)] for name in past}
        start = end
    return np.concatenate(parts, axis=1)
