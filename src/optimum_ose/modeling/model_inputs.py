"""Makes example inputs for a model of any modality, from its config and the signature of its forward pass."""

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.example_tensors import Draw, find, image_size
from optimum_ose.modeling.further_inputs import further_inputs
from optimum_ose.modeling.length import usable_length

Inputs = dict[str, torch.Tensor]
NUM_SAMPLES = 16_000
"""Of a waveform for which operations are counted."""


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs that a model answers, and its answer."""

    choice: int
    """Number of the inputs among those worth trying."""
    inputs: Inputs
    """By name."""
    output: Any
    """What the forward pass gave."""


def run_example(
    model: PreTrainedModel, *, batch_size: int = 1, num_tokens: int = 16, choice: int | None = None
) -> Example:
    """Inputs that a model answers, and its answer, on the model's device.

    Args:
        model: in any mode; no gradients are recorded. On `meta`, its way of routing tokens to experts is changed.
        batch_size: number of rows.
        num_tokens: length of a text, cut to what the model takes; images and sounds have the size that the config
            names.
        choice: tries only the inputs of this number, which answered before; by default all.

    Raises:
        UnsupportedModelError: if it answers none of the inputs that its signature suggests.
    """
    reason, most = "", 0
    _route_on_meta(model)
    # Some models make a cache that fits their usual pattern of layers only; others detect packed texts without one,
    # which asks for data, whether or not the config wants a cache.
    caches = "use_cache" in inspect.signature(model.forward).parameters
    switches = [{}, {"use_cache": False}, {"use_cache": True}] if caches else [{}]
    num_tokens = min(num_tokens, usable_length(model.config) or num_tokens)
    make = partial(example_inputs, model, batch_size=batch_size, num_tokens=num_tokens)
    plain: Iterator[tuple[Inputs, dict[str, bool]]] = ((inputs, switch) for inputs in make() for switch in switches)
    numbered = enumerate(itertools.chain(plain, ((inputs, {}) for inputs in _masked(model, make))))
    for number, (inputs, switch) in numbered if choice is None else itertools.islice(numbered, choice, choice + 1):
        try:
            return Example(number, inputs, _answer(model, {**inputs, **switch}))
        except (*BUILD_ERRORS, NotImplementedError, NameError) as error:
            if len(inputs) > most:
                reason, most = f"on {', '.join(inputs)}: {' '.join(str(error).split())[:300]}", len(inputs)
    raise UnsupportedModelError(
        "a model must answer text, an image, a sound or a usual combination, without data-dependent steps",
        f"{type(model).__name__} failed {reason or 'to name such an input'}",
        "Choose another model, or measure its costs yourself",
    )


def takes_choices(model: PreTrainedModel) -> bool:
    """Whether a text is several choices, so that token ids have the shape (rows, choices, tokens)."""
    return type(model).__name__.endswith("ForMultipleChoice")


def _masked(model: PreTrainedModel, make: Callable[[], Iterator[Inputs]]) -> Iterator[Inputs]:
    """Texts again with a mask: without one, many models look for padding, which asks for data."""
    if "attention_mask" in inspect.signature(model.forward).parameters:
        for inputs in make():
            if "input_ids" in inputs and "attention_mask" not in inputs:
                ids = inputs["input_ids"]
                shape = ids.shape if takes_choices(model) else ids.shape[:2]
                yield {**inputs, "attention_mask": torch.ones(shape, dtype=torch.long, device=ids.device)}


def _answer(model: PreTrainedModel, arguments: dict[str, Any]) -> Any:
    """The model's answer; on `meta` again with every new tensor there, if it mixes the devices (XLNet)."""
    with torch.no_grad():
        try:
            return model(**arguments)
        except RuntimeError as error:
            if model.device.type != "meta" or "device" not in str(error):
                raise
        with torch.device("meta"):
            return model(**arguments)


def _route_on_meta(model: PreTrainedModel) -> None:
    """Give each token its own copy of its experts: the only way of routing that asks for no data."""
    has_experts = any(name.endswith("experts") for name, _ in model.named_modules())
    if has_experts and model.device.type == "meta":
        model.set_experts_implementation("batched_mm")


def example_inputs(model: PreTrainedModel, *, batch_size: int, num_tokens: int) -> Iterator[Inputs]:
    """Inputs worth trying, the likeliest first."""
    accepted = inspect.signature(model.forward).parameters
    made = _makers(model, batch_size, num_tokens)
    decoder = {"decoder_input_ids"} & set(accepted)
    main = model.main_input_name if isinstance(model.main_input_name, str) else model.main_input_name[0]
    required = [
        name
        for name, item in accepted.items()
        if item.default is inspect.Parameter.empty and item.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    wanted: list[tuple[str, ...]] = [tuple(required)] if required else []
    wanted += [(main,), (main, *required), (main, *decoder)]
    senses = ("pixel_values", "input_features", "input_values", "pixel_values_videos")
    wanted += [("input_features", "input_features_mask"), ("input_features", "attention_mask")]
    wanted += [("input_ids", sense) for sense in senses] + [(sense,) for sense in senses] + [("input_ids",)]
    wanted += [("input_ids", sense, *decoder) for sense in senses] + [("inputs_embeds",)]
    wanted += [("input_ids", "bbox"), ("input_ids", "pixel_values", "bbox"), ("past_values", "past_time_features")]
    for names in dict.fromkeys(wanted):
        if all(name in accepted and name in made for name in names):
            for choice in range(max((len(made[name]) for name in names), default=0)):
                yield {name: made[name][min(choice, len(made[name]) - 1)] for name in names}
    yield from further_inputs(model, required=required, batch_size=batch_size, num_tokens=num_tokens)


def _makers(model: PreTrainedModel, batch_size: int, num_tokens: int) -> dict[str, list[torch.Tensor]]:
    """For each input name, tensors of the shapes worth trying."""
    config, draw = model.config, Draw(model)
    floats, tokens, same = draw.floats, draw.tokens, draw.same
    text = [tokens(batch_size, 1, num_tokens)] if takes_choices(model) else [tokens(batch_size, num_tokens)]
    channels = find(config, ("num_channels", "in_channels", "in_chans"), 3)
    sizes = [image_size(config), (224, 224), (64, 64), (384, 384)]
    images = [floats(batch_size, channels, *size) for size in dict.fromkeys(sizes)]
    frames = find(config, ("num_frames", "frames_per_clip"), 4)
    videos = [floats(batch_size, frames, channels, *sizes[0]), floats(batch_size, 2, channels, *sizes[0])]
    mels = find(config, ("num_mel_bins", "n_mels", "input_feat_per_channel", "feature_size", "num_mel_bands"), 80)
    length = 2 * find(config, ("max_source_positions",), 256)
    sounds = [floats(batch_size, mels, length), floats(batch_size, length, mels), floats(batch_size, 1, length, mels)]
    waves = [floats(batch_size, NUM_SAMPLES), floats(batch_size, 1, NUM_SAMPLES), floats(batch_size, 1024, mels)]
    width = find(config, ("hidden_size", "d_model"), 64)
    patch = channels * find(config, ("temporal_patch_size",), 1) * find(config, ("patch_size",), 14) ** 2
    return {
        "input_ids": [*text, tokens(batch_size, num_tokens, find(config, ("num_codebooks",), 8))],
        "decoder_input_ids": text,
        "pixel_values": [*images, *videos],
        "pixel_values_videos": videos,
        "input_features": sounds,
        "input_features_mask": [same(1, batch_size, length)],
        "attention_mask": [same(1, batch_size, length)],
        "query_embeds": [floats(batch_size, num_tokens, width)],
        "input_values": waves,
        "audio_values": waves,
        "inputs_embeds": [floats(batch_size, num_tokens, width)],
        "hidden_states": [floats(16, patch), floats(batch_size, num_tokens, width)],
        "grid_thw": [draw.rows([[1, 4, 4]])],
        "bbox": [same(0, batch_size, num_tokens, 4)],
        "past_values": [floats(batch_size, *_series(config))],
        "inputs": [floats(batch_size, num_tokens, find(config, ("d_model",), width)), *text],
    }


def _series(config: PretrainedConfig) -> tuple[int, ...]:
    length = find(config, ("context_length", "seq_length"), 32)
    return (length, find(config, ("num_input_channels", "input_size"), 1))
