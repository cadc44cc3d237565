"""The dimension map: which axis each dimension of each parameter tensor follows, and which tensors belong to the
repeated layers.

The one record that gives exact parameter counts and tells how to copy weights. Derived by probing (our method),
verified on builds that
were not used to derive it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.core.polynomial import Polynomial
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axes import HEADS, HIDDEN, KV_HEADS, LAYERS, axis_attributes, derive_axes
from optimum_ose.modeling.axis import apply_values
from optimum_ose.modeling.building import (
    build_on_meta,
    embedding_names,
    parameter_shapes,
)
from optimum_ose.modeling.model_inputs import run_example

Stream = Literal["residual", "heads", "kv_heads", "inner"]
"""residual: the stream that layers read and add to; heads: queries, and keys and values if there are as many, whole
heads side by side; kv_heads: keys and values that several heads share; inner: any other."""
_STREAMS: Mapping[str, Stream] = {HEADS: "heads", KV_HEADS: "kv_heads"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One dimension of a tensor: size = factor * axis + offset."""

    axis: str | None
    """Axis that it follows; None if its size is fixed."""
    factor: int
    """Blocks of the axis side by side; 0 if the size is fixed."""
    offset: int
    """Fixed part of the size."""
    stream: Stream | None
    """What its indices stand for; None if the size is fixed."""

    def size(self, values: Mapping[str, int]) -> int:
        """The size at an architecture."""
        return self.offset + (self.factor * values[self.axis] if self.axis is not None else 0)

    def polynomial(self) -> Polynomial:
        """The size as a polynomial in its axis."""
        fixed = Polynomial.constant(self.offset)
        return fixed if self.axis is None else Polynomial.variable(self.axis) * self.factor + fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorMap:
    """One parameter tensor, or the same tensor of every layer."""

    name: str
    """Dotted name; "{layer}" stands for the layer index."""
    dimensions: tuple[Dimension, ...]
    """One per dimension."""
    is_embedding: bool
    """Whether an embedding table holds it."""

    @property
    def is_layered(self) -> bool:
        """Whether every layer has one."""
        return "{layer}" in self.name

    def polynomial(self) -> Polynomial:
        """Number of parameters, all layers together."""
        count = Polynomial.variable(LAYERS) if self.is_layered else Polynomial.constant(1)
        for dimension in self.dimensions:
            count = count * dimension.polynomial()
        return count


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionMap:
    """Every parameter tensor of a model type."""

    tensors: tuple[TensorMap, ...]

    def shapes(self, values: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor at an architecture, by its full name."""
        return {
            name: tuple(item.size(values) for item in tensor.dimensions) for name, tensor, _ in self.instances(values)
        }

    def instances(self, values: Mapping[str, int]) -> Iterator[tuple[str, TensorMap, int | None]]:
        """Full name, map and layer index of every tensor at an architecture."""
        for tensor in self.tensors:
            if tensor.is_layered:
                for layer in range(values[LAYERS]):
                    yield tensor.name.format(layer=layer), tensor, layer
            else:
                yield tensor.name, tensor, None


def derive_dimension_map(config: PretrainedConfig, task: str | None = None) -> DimensionMap:
    """The dimension map of a config's model type.

    Raises:
        UnsupportedModelError: if a tensor's size is no linear function of one axis, or the map fails on a held-back
            build.
    """
    attributes = axis_attributes(config, task)
    values = {axis: derive_axes(config, task)[axis].value for axis in attributes}
    base = build_on_meta(config, task)
    before = parameter_shapes(base)
    doubled = {
        axis: parameter_shapes(
            build_on_meta(apply_values(config, derive_axes(config, task), {axis: 2 * values[axis]}), task)
        )
        for axis in attributes
        if axis != LAYERS
    }
    for axis, shapes in doubled.items():
        if changing := sorted(before.keys() ^ shapes.keys()):
            raise _unlike(config, changing[0], f"{axis} decides whether it is there")
    streams = _streams(base)
    embeddings = embedding_names(base)
    prefix = _layer_prefix(config, task, attributes, before)
    tensors: dict[str, TensorMap] = {}
    for name, shape in before.items():
        dimensions = tuple(_dimension(name, index, size, values, doubled, streams) for index, size in enumerate(shape))
        template = _template(name, prefix)
        tensor = TensorMap(name=template, dimensions=dimensions, is_embedding=name in embeddings)
        if tensors.setdefault(template, tensor) != tensor:
            raise _unlike(config, name, "its shape differs from layer to layer")
    found = DimensionMap(tensors=tuple(tensors.values()))
    _verify(found, config, task, values)
    return found


def _dimension(
    name: str,
    index: int,
    size: int,
    values: Mapping[str, int],
    doubled: Mapping[str, Mapping[str, tuple[int, ...]]],
    streams: Mapping[str, tuple[Stream, ...]],
) -> Dimension:
    """Doubling an axis of value v adds factor * v to each dimension that follows it."""
    followed = {axis: shapes[name][index] - size for axis, shapes in doubled.items() if shapes[name][index] != size}
    if not followed:
        return Dimension(axis=None, factor=0, offset=size, stream=None)
    axis, growth = next(iter(followed.items()))
    if len(followed) > 1 or growth % values[axis]:
        raise UnsupportedModelError(
            f"dimension {index} of {name} must follow one axis linearly",
            f"it follows {', '.join(followed)}",
            "Fix those axes, or choose another model",
        )
    factor = growth // values[axis]
    stream: Stream = _STREAMS.get(axis, "inner")
    if axis == HIDDEN:
        stream = streams.get(name, ("residual", "residual"))[min(index, 1)]
    return Dimension(axis=axis, factor=factor, offset=size - factor * values[axis], stream=stream)


def _streams(model: PreTrainedModel) -> dict[str, tuple[Stream, ...]]:
    """Stream of the (output, input) of each linear map that lies between the residual stream and the heads.

    Linear maps of one layer that read the very same tensor, three at a time, are queries, keys and values: what they
    write are heads. The next
    linear map of the layer reads what attention made of them. Found by running the model once on `meta` and
    comparing the tensors read.
    """
    reads: dict[str, int] = {}
    alive: list[torch.Tensor] = []

    def remember(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            alive.append(inputs[0])
            reads[name] = id(inputs[0])

        return modules[name].register_forward_pre_hook(hook)

    modules = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    handles = [remember(name) for name in modules]
    run_example(model, num_tokens=4)
    for handle in handles:
        handle.remove()
    streams: dict[str, tuple[Stream, ...]] = {}
    order = list(reads)
    for position in range(len(order) - 3):
        if len({reads[name] for name in order[position : position + 3]}) == 1:
            for name in order[position : position + 3]:
                streams[f"{name}.weight"] = ("heads", "residual")
                streams[f"{name}.bias"] = ("heads", "heads")
            streams[f"{order[position + 3]}.weight"] = ("residual", "heads")
    return streams


def _layer_prefix(
    config: PretrainedConfig, task: str | None, attributes: Mapping[str, str], before: Mapping[str, tuple[int, ...]]
) -> str | None:
    """What stands before the layer index in the names of the repeated tensors."""
    if LAYERS not in attributes:
        return None
    num_layers = derive_axes(config, task)[LAYERS].value
    grown = parameter_shapes(
        build_on_meta(apply_values(config, derive_axes(config, task), {LAYERS: num_layers + 1}), task)
    )
    prefixes = {re.split(rf"(?<=\.){num_layers}(?=\.)", name)[0] for name in grown if name not in before}
    if len(prefixes) != 1:
        raise _unlike(config, ", ".join(sorted(prefixes)), "its layers lie in more than one list")
    return prefixes.pop()


def _template(name: str, prefix: str | None) -> str:
    if prefix is None or not name.startswith(prefix):
        return name
    return prefix + re.sub(r"^\d+", "{layer}", name[len(prefix) :])


def _verify(
    found: DimensionMap,
    config: PretrainedConfig,
    task: str | None,
    values: Mapping[str, int],
) -> None:
    """Compare the map with two builds that were not used to derive it: all axes changed at once."""
    for multiple, layers in ((3, 2), (5, 1)):
        held_back = {axis: layers if axis == LAYERS else value * multiple for axis, value in values.items()}
        edited = apply_values(config, derive_axes(config, task), held_back)
        built = parameter_shapes(build_on_meta(edited, task))
        predicted = found.shapes(held_back)
        if predicted != built:
            wrong = sorted(name for name in built.keys() | predicted.keys() if built.get(name) != predicted.get(name))
            raise _unlike(config, wrong[0], "its shape is not the one that the axes predict")


def _unlike(config: PretrainedConfig, name: str, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"every tensor of model type {config.model_type!r} must be the same in each layer and linear in the axes",
        f"{name}: {reason}",
        "Choose a model whose layers are alike",
    )
