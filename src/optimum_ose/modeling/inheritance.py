"""What a student inherits from its teacher, through the dimension map.

The rule (ours; Bort drew from a normal distribution):
- layers: the teacher's are cut into runs of like length, and the last of each run is taken; or those of the highest
  scores, the last layer always among them, for what reads the stream learned from it;
- residual stream: one projection for all tensors, onto the directions in which it is largest on calibration rows and
  the mean over channels, which LayerNorm takes away (chosen channels alone would leave half of it behind);
- heads: per layer, whole heads, those whose output is largest on calibration rows;
- inner neurons: per layer, those whose activation is largest on calibration rows.
Every set keeps its order, so a student of the teacher's own size is the teacher. What a smaller one lacks,
`modeling.repair` mends. (Slicing a network along principal directions is known for pre-norm decoders, SliceGPT,
arXiv:2401.15024, where it is exact but for what is cut off; under LayerNorm with its own scales it is not, hence the
repair.)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import torch
from scipy.fft import dct
from scipy.linalg import block_diag
from transformers import PreTrainedModel

from optimum_ose.core.architecture import Architecture
from optimum_ose.modeling.axes import HEADS, HIDDEN, KV_HEADS, LAYERS
from optimum_ose.modeling.building import parameter_shapes
from optimum_ose.modeling.dimension_map import Dimension, DimensionMap, Stream
from optimum_ose.modeling.importance import Importance, require_inheritable

Indices = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What a student takes from its teacher; all indices are the teacher's."""

    layers: tuple[int, ...]
    """Layer of each of the student's layers."""
    residual: torch.Tensor | None
    """Shape (teacher's hidden size, student's): each of the student's channels as a unit vector of the teacher's, at
    right angles to the others; or, shape (teacher's hidden size,), the teacher's channels in another order. None: the
    teacher's channels as they are."""
    heads: tuple[tuple[int, ...], ...]
    """Heads, one tuple per student layer; a head may come twice where more of them are to share keys and values."""
    kv_heads: tuple[tuple[int, ...], ...]
    """Heads of keys and values, one tuple per student layer."""
    head_size: int
    """Channels of each of the teacher's heads, of which narrower ones of the student are the front."""
    inner: tuple[tuple[int, ...], ...]
    """Inner neurons, one tuple per student layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which part of which teacher tensor a student's tensor is."""

    name: str
    """Full name of the teacher's tensor."""
    kept: tuple[torch.Tensor | None, ...]
    """Of each dimension the indices kept, shape (kept,), or its projection, shape (size, kept); None: all of it."""
    streams: tuple[Stream | None, ...]
    """What the indices of each dimension stand for."""

    def part(self, source: torch.Tensor) -> torch.Tensor:
        """The part of the teacher's tensor. A projected scale of channels is the diagonal of the projected matrix."""
        is_scale = source.ndim == 1 and not self.name.endswith("bias")
        for dimension, kept in enumerate(self.kept):
            is_projected = kept is not None and kept.ndim == 2
            source = take(source, kept.square() if kept is not None and is_scale and is_projected else kept, dimension)
        return source


def take(values: torch.Tensor, kept: torch.Tensor | None, dimension: int = -1) -> torch.Tensor:
    """What is kept of one dimension of a tensor: all of it, some indices, or a projection."""
    if kept is None:
        return values
    if kept.ndim == 1:
        return values.index_select(dimension, kept)
    projected: torch.Tensor = torch.tensordot(values, kept.to(values.dtype), dims=([dimension], [0]))
    return projected.movedim(-1, dimension)


def find_origins(
    teacher: PreTrainedModel, architecture: Architecture, dimension_map: DimensionMap, chosen: Inheritance
) -> Mapping[str, Origin]:
    """What each tensor of a student inherits, by its full name.

    Args:
        teacher: the model inherited from.
        architecture: the student's sizes.
        dimension_map: of the teacher's config and task.
        chosen: the indices inherited, from `choose`.

    Raises:
        UnsupportedModelError: if a student cannot inherit through this map.
    """
    require_inheritable(dimension_map)
    shapes = parameter_shapes(teacher)
    found = {}
    for name, tensor, layer in dimension_map.instances(dict(architecture)):
        source = tensor.name if layer is None else tensor.name.format(layer=chosen.layers[layer])
        found[name] = Origin(
            name=source,
            kept=tuple(
                _kept(dimension, layer, size, dimension.size(dict(architecture)), chosen)
                for dimension, size in zip(tensor.dimensions, shapes[source], strict=True)
            ),
            streams=tuple(dimension.stream for dimension in tensor.dimensions),
        )
    return found


def choose(
    architecture: Architecture,
    importance: Importance,
    *,
    layer_scores: torch.Tensor | None = None,
    in_order: bool = False,
    keeps_channels: bool = True,
) -> Inheritance:
    """What a student of this architecture inherits.

    Args:
        architecture: the student's sizes.
        importance: of the teacher's parts.
        layer_scores: what each of the teacher's layers but the last is worth, shape (layers - 1,); None: layers are
            taken evenly.
        in_order: put the most important directions, heads and neurons first, so that the front of every tensor is its
            most important part.
        keeps_channels: at the teacher's width, put channels in order instead of rotating them into directions:
            LayerNorm allows nothing else if the student of the teacher's own size is to compute what the teacher does.
    """
    num_teacher_layers = len(importance.inner)
    layers = run_ends(num_teacher_layers, architecture[LAYERS])
    if layer_scores is not None:
        layers = (*_largest(layer_scores, architecture[LAYERS] - 1), num_teacher_layers - 1)
    others = (value for axis, value in architecture.items() if axis not in (LAYERS, HEADS, KV_HEADS, HIDDEN))
    inner_size = next(others, None)
    largest = _largest_first if in_order else _largest
    kv_heads, heads = zip(*(_heads(importance, layer, architecture, largest) for layer in layers), strict=True)
    return Inheritance(
        layers=layers,
        residual=_projection(importance, architecture[HIDDEN], in_order=in_order, keeps_channels=keeps_channels),
        heads=heads,
        kv_heads=kv_heads,
        head_size=importance.head_size,
        inner=tuple(
            largest(importance.inner[layer], inner_size or importance.inner[layer].numel()) for layer in layers
        ),
    )


def run_ends(num_layers: int, num_runs: int) -> tuple[int, ...]:
    """The last index of each of the runs of like length that layers 0 .. num_layers - 1 are cut into."""
    return tuple((run + 1) * num_layers // num_runs - 1 for run in range(num_runs))


def _projection(importance: Importance, size: int, *, in_order: bool, keeps_channels: bool) -> torch.Tensor | None:
    """The first directions, mixed evenly unless their order counts: none of the student's channels then stands out,
    which suits quantization, and their mean stays the mean, for the first row of a cosine transform is even.
    """
    directions = importance.residual
    if size == len(directions) and (keeps_channels or not in_order):
        return torch.argsort(importance.channels, descending=True, stable=True) if in_order else None
    if in_order:
        return directions[:, :size].float()
    mixing = torch.from_numpy(dct(np.eye(size), norm="ortho", axis=0))
    return (directions[:, :size] @ mixing).float()


def _heads(
    importance: Importance, layer: int, architecture: Architecture, largest: Callable[[torch.Tensor, int], Indices]
) -> tuple[Indices, Indices]:
    """The most important heads of keys and values, and for each of them its most important heads, again and again where
    the student wants more.
    """
    scores = importance.heads[layer].reshape(importance.num_kv_heads, -1)
    num_kv_heads = architecture.get(KV_HEADS, architecture[HEADS])
    kv_heads = largest(scores.sum(1), num_kv_heads)
    size, wanted = scores.shape[1], architecture[HEADS] // num_kv_heads
    members = [[group * size + head for head in largest(scores[group], wanted)] for group in kv_heads]
    return kv_heads, tuple(head for group in members for head in islice(cycle(group), wanted))


def _largest(scores: torch.Tensor, count: int) -> Indices:
    return tuple(sorted(_largest_first(scores, count)))


def _largest_first(scores: torch.Tensor, count: int) -> Indices:
    return tuple(torch.argsort(scores, descending=True, stable=True)[:count].tolist())


def _kept(dimension: Dimension, layer: int | None, size: int, count: int, chosen: Inheritance) -> torch.Tensor | None:
    """`factor` blocks of the axis lie side by side, the fixed part behind them."""
    if dimension.axis is None:
        return None
    if dimension.stream == "residual":
        if chosen.residual is None:
            return None
        if (dimension.factor, dimension.offset) == (1, 0):
            return chosen.residual  # not a copy for each dimension
        if chosen.residual.ndim == 1:
            width = len(chosen.residual)
            moved = [block * width + chosen.residual for block in range(dimension.factor)]
            return torch.cat([*moved, torch.arange(size - dimension.offset, size)])
        return torch.from_numpy(block_diag(*[chosen.residual] * dimension.factor, np.eye(dimension.offset)))
    if layer is None:
        return torch.arange(count)
    if dimension.stream == "inner":
        kept, block = list(chosen.inner[layer]), (size - dimension.offset) // dimension.factor
    else:
        heads = chosen.heads[layer] if dimension.stream == "heads" else chosen.kv_heads[layer]
        if dimension.axis != HIDDEN:  # as many channels a head as ever
            return torch.tensor([head * dimension.factor + k for head in heads for k in range(dimension.factor)])
        width, block = count // (dimension.factor * len(heads)), size // dimension.factor
        if width > chosen.head_size:
            return torch.arange(count)
        kept = [head * chosen.head_size + channel for head in heads for channel in range(width)]
    blocks = [number * block + index for number in range(dimension.factor) for index in kept]
    return torch.tensor(blocks + list(range(size - dimension.offset, size)))
