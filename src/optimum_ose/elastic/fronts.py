"""Which part of the shared weights each tensor of a smaller model is: a front in every dimension, of a chosen layer."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch

from optimum_ose.core.architecture import Architecture
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axes import HEADS, HIDDEN, KV_HEADS
from optimum_ose.modeling.dimension_map import Dimension, DimensionMap, TensorMap
from optimum_ose.modeling.inheritance import run_ends
from optimum_ose.modeling.slicing import Pairs, block_fronts, list_lengths

Index = tuple[slice | torch.Tensor, ...]


@final
@dataclass(frozen=True, slots=True)
class Front:
    """A part of a shared tensor."""

    name: str
    """Full name of the shared tensor."""
    index: Index
    """Picks the part: slices, or indices that make an open mesh. A part that is picked twice is not possible."""

    def of(self, shared: torch.Tensor) -> torch.Tensor:
        """The part: a view where it is a block of the tensor, else a copy."""
        return shared[self.index]


def tensors_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters, tied ones under each of their names, and the buffers that a saved model keeps."""
    return dict(model.state_dict(keep_vars=True))


def find_fronts(
    smaller: torch.nn.Module,
    shared: torch.nn.Module,
    *,
    sizes: Architecture,
    shared_sizes: Architecture,
    dimension_map: DimensionMap | None,
) -> dict[str, Front]:
    """The front that each tensor of a smaller model is, by its full name.

    The layers of a shorter list are the ends of runs of like length of the longer one, or the nearest layers with the
    same tensors where layers differ. Heads stay whole where the dimension map tells where they lie.

    Args:
        smaller: a model of the smaller sizes; only the shapes of its tensors are looked at.
        shared: whose tensors are shared.
        sizes: of the smaller model.
        shared_sizes: of the other one.
        dimension_map: of their model type, if it can be derived.

    Raises:
        UnsupportedModelError: if a tensor has no counterpart that holds it.
    """
    source, target = tensors_of(shared), tensors_of(smaller)
    renamed = _LayerNames(smaller, shared)
    order = sorted(sizes, key=lambda axis: axis != HIDDEN)
    pairs = tuple((shared_sizes[axis], sizes[axis]) for axis in order)
    maps = _maps(dimension_map, sizes)
    found: dict[str, Front] = {}
    for name, tensor in target.items():
        other = next((known for known in (renamed(name), name) if known in source), None)
        whole = source[other].shape if other is not None else ()
        if len(whole) != tensor.ndim or any(kept > size for kept, size in zip(tensor.shape, whole, strict=True)):
            raise UnsupportedModelError(
                "Every tensor of a candidate must be a part of one of the shared weights",
                f"{name} of shape {tuple(tensor.shape)} is none of {tuple(whole) if whole else 'them'}",
                "Set search.method to certified",
            )
        dimensions = maps[name].dimensions if name in maps else (None,) * tensor.ndim
        parts = [
            _part(size, kept, dimension, pairs, sizes, shared_sizes)
            for size, kept, dimension in zip(whole, tensor.shape, dimensions, strict=True)
        ]
        found[name] = Front(str(other), _mesh(parts, tuple(whole)))
    return found


def _maps(dimension_map: DimensionMap | None, sizes: Architecture) -> Mapping[str, TensorMap]:
    return {} if dimension_map is None else {name: tensor for name, tensor, _ in dimension_map.instances(dict(sizes))}


def _part(
    whole: int,
    kept: int,
    dimension: Dimension | None,
    pairs: Pairs,
    sizes: Architecture,
    shared_sizes: Architecture,
) -> slice | torch.Tensor:
    """The front of one dimension."""
    if dimension is not None and dimension.stream in ("heads", "kv_heads") and not dimension.offset:
        heads = _head_channels(whole, kept, dimension, sizes, shared_sizes)
        if heads is not None:
            return _as_slice(heads)
    return slice(0, kept) if whole == kept else _as_slice(block_fronts(whole, kept, pairs))


def _head_channels(
    whole: int, kept: int, dimension: Dimension, sizes: Architecture, shared_sizes: Architecture
) -> torch.Tensor | None:
    """Channels of the first heads, of each group that shares keys and values; the front of each head if it is narrower.
    None if heads would be as many in fewer groups, or wider.
    """
    own_kv, all_kv = (found.get(KV_HEADS, found[HEADS]) for found in (sizes, shared_sizes))
    own, other = (own_kv, all_kv) if dimension.stream == "kv_heads" else (sizes[HEADS], shared_sizes[HEADS])
    if whole % other or kept % own or own % own_kv or other % all_kv:
        return None
    width, own_width = whole // other, kept // own
    members, own_members = other // all_kv, own // own_kv
    if own_width > width or own_members > members or own_kv > all_kv:
        return None
    blocks = torch.arange(whole).reshape(all_kv, members, width)
    return blocks[:own_kv, :own_members, :own_width].reshape(-1)


def _as_slice(indices: torch.Tensor) -> slice | torch.Tensor:
    """The slice that indices are, if they are one."""
    count = len(indices)
    return slice(0, count) if torch.equal(indices, torch.arange(count)) else indices


def _mesh(parts: list[slice | torch.Tensor], whole: tuple[int, ...]) -> Index:
    """Indices of several dimensions as an open mesh, so that they pick a block."""
    if sum(isinstance(part, torch.Tensor) for part in parts) < 2:
        return tuple(parts)
    full = [torch.arange(size)[part] for part, size in zip(parts, whole, strict=True)]
    return tuple(
        part.reshape([-1 if position == number else 1 for position in range(len(full))])
        for number, part in enumerate(full)
    )


@final
class _LayerNames:
    """Turns the name of a smaller model's tensor into that of the shared one: indices into shorter lists are mapped."""

    def __init__(self, smaller: torch.nn.Module, shared: torch.nn.Module) -> None:
        self._own, self._other = list_lengths(smaller), list_lengths(shared)
        self._signatures = _signatures(smaller), _signatures(shared)

    def __call__(self, name: str) -> str:
        own, other = "", ""
        for part in name.split("."):
            found = part
            if part.isdigit() and own in self._own and self._own[own] < self._other.get(other, 0):
                found = str(self._layer(own, other, int(part)))
            own = f"{own}.{part}" if own else part
            other = f"{other}.{found}" if other else found
        return other

    def _layer(self, own: str, other: str, layer: int) -> int:
        count = self._other[other]
        wanted = run_ends(count, self._own[own])[layer]
        mine, theirs = self._signatures
        signature = mine.get(f"{own}.{layer}")
        alike = [number for number in range(count) if theirs.get(f"{other}.{number}") == signature]
        return min(alike or [wanted], key=lambda number: (abs(number - wanted), number))


def _signatures(model: torch.nn.Module) -> dict[str, frozenset[str]]:
    """What tensors each module of a list has, whatever their sizes, by the module's name."""
    found: dict[str, set[str]] = {}
    for name in tensors_of(model):
        for prefix, rest in _splits(name):
            found.setdefault(prefix, set()).add(re.sub(r"\d+", "#", rest))
    return {prefix: frozenset(rests) for prefix, rests in found.items()}


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """(name up to and with a list index, rest) for each list index in a dotted name."""
    parts = name.split(".")
    for position, part in enumerate(parts):
        if part.isdigit():
            yield ".".join(parts[: position + 1]), ".".join(parts[position + 1 :])
