"""Initializes a student: by inheritance from the teacher through the dimension map, or from scratch.

The rule of inheritance (ours; Bort drew from a normal distribution):
- layers: the teacher's are cut into runs of like length, and the last of each run is taken;
- residual stream: one index set for all tensors, the channels of largest variance on calibration rows;
- heads: per layer, whole heads, those whose output is largest on calibration rows;
- inner neurons: per layer, those whose activation is largest on calibration rows.
Every set keeps its order, so a student of the teacher's own size is the teacher. What a smaller one lacks,
`modeling.repair` mends.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from optimum_ose.core.architecture import Architecture
from optimum_ose.modeling.axes import HEADS, HIDDEN, LAYERS
from optimum_ose.modeling.building import parameter_shapes
from optimum_ose.modeling.dimension_map import Dimension, DimensionMap, Stream
from optimum_ose.modeling.importance import Importance, require_inheritable
from optimum_ose.modeling.reconfiguration import reconfigure
from optimum_ose.modeling.tasks import auto_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What a student takes from its teacher: indices into the teacher's layers and dimensions, ascending."""

    layers: tuple[int, ...]
    """Teacher layer of each student layer."""
    residual: tuple[int, ...]
    """Channels of the residual stream."""
    heads: tuple[tuple[int, ...], ...]
    """Channels of queries, keys and values, one tuple per student layer; whole heads where the head size is kept."""
    inner: tuple[tuple[int, ...], ...]
    """Inner neurons, one tuple per student layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which part of which teacher tensor a student's tensor is."""

    name: str
    """Full name of the teacher's tensor."""
    kept: tuple[torch.Tensor | None, ...]
    """Indices kept of each dimension; None: all."""
    streams: tuple[Stream | None, ...]
    """What the indices of each dimension stand for."""

    def part(self, source: torch.Tensor) -> torch.Tensor:
        """The part of the teacher's tensor."""
        for index, kept in enumerate(self.kept):
            source = source if kept is None else source.index_select(index, kept)
        return source


def from_scratch(
    teacher: PreTrainedModel, architecture: Architecture, *, task: str | None, seed: int
) -> PreTrainedModel:
    """A student with the random weights of its own model type.

    Args:
        teacher: whose config is reconfigured.
        architecture: the student's sizes.
        task: which head it gets.
        seed: seed of the draw; the global generator is left as it was.
    """
    config = reconfigure(teacher.config, architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return auto_class(task).from_config(config)  # type: ignore[no-any-return]


def inherit(
    teacher: PreTrainedModel, architecture: Architecture, *, task: str, origins: Mapping[str, Origin]
) -> PreTrainedModel:
    """A student whose every weight is one of its teacher's.

    Args:
        teacher: the model inherited from.
        architecture: the student's sizes.
        task: which head it gets.
        origins: from `find_origins`.
    """
    student = from_scratch(teacher, architecture, task=task, seed=0)
    source = dict(teacher.named_parameters())
    target = dict(student.named_parameters())
    with torch.no_grad():
        for name, origin in origins.items():
            target[name].copy_(origin.part(source[origin.name]))
    return student


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


def choose(architecture: Architecture, importance: Importance) -> Inheritance:
    """The indices that a student of this architecture inherits."""
    num_teacher_layers = len(importance.inner)
    layers = run_ends(num_teacher_layers, architecture[LAYERS])
    head_size = importance.residual.numel() // importance.heads[0].numel()
    inner_size = next((value for axis, value in architecture.items() if axis not in (LAYERS, HEADS, HIDDEN)), None)
    return Inheritance(
        layers=layers,
        residual=_largest(importance.residual, architecture[HIDDEN]),
        heads=tuple(_head_channels(importance.heads[layer], architecture, head_size) for layer in layers),
        inner=tuple(
            _largest(importance.inner[layer], inner_size or importance.inner[layer].numel()) for layer in layers
        ),
    )


def run_ends(num_layers: int, num_runs: int) -> tuple[int, ...]:
    """The last index of each of the runs of like length that layers 0 .. num_layers - 1 are cut into."""
    return tuple((run + 1) * num_layers // num_runs - 1 for run in range(num_runs))


def _head_channels(scores: torch.Tensor, architecture: Architecture, head_size: int) -> tuple[int, ...]:
    """Channels of the most important heads, whole where the student's heads are as wide as the teacher's, else from
    their fronts.
    """
    student_size = architecture[HIDDEN] // architecture[HEADS]
    if student_size > head_size or architecture[HEADS] > scores.numel():
        return tuple(range(architecture[HIDDEN]))
    heads = _largest(scores, architecture[HEADS])
    return tuple(head * head_size + channel for head in heads for channel in range(student_size))


def _largest(scores: torch.Tensor, count: int) -> tuple[int, ...]:
    order = torch.argsort(scores, descending=True, stable=True)[:count]
    return tuple(sorted(order.tolist()))


def _kept(dimension: Dimension, layer: int | None, size: int, count: int, chosen: Inheritance) -> torch.Tensor | None:
    return None if dimension.axis is None else torch.tensor(_indices(dimension, layer, size, chosen)[:count])


def _indices(dimension: Dimension, layer: int | None, size: int, chosen: Inheritance) -> list[int]:
    """Indices of one dimension; `factor` blocks of the axis lie side by side, the fixed part behind them."""
    sets: Mapping[str, tuple[int, ...]] = {
        "residual": chosen.residual,
        "heads": chosen.heads[layer] if layer is not None else chosen.residual,
        "inner": chosen.inner[layer] if layer is not None else chosen.residual,
    }
    kept = sets[dimension.stream or "residual"]
    block = (size - dimension.offset) // dimension.factor
    blocks = [number * block + index for number in range(dimension.factor) for index in kept]
    return blocks + list(range(size - dimension.offset, size))
