"""One architectural parameter of a model type, and how its values are written into a config."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from transformers import PretrainedConfig

from optimum_ose.modeling.attributes import list_index
from optimum_ose.modeling.building import edit_config
from optimum_ose.modeling.roles import Role

SHALLOW = 3
"""Depth at which widths are probed: enough for a first, an inner and a last layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One architectural parameter of a model type."""

    name: str
    """Transformers' standard name, or the config path."""
    path: str
    """Config path."""
    role: Role
    """What it sizes."""
    value: int
    """Value in the config, which is the maximum point."""
    scope: str
    """Path of the nested config that holds it, with a dot behind; "" for the config itself."""
    layer_lists: tuple[str, ...] = ()
    """Config paths of the lists that have one entry per layer, if it is a depth."""

    coupled: Mapping[str, int] = field(default_factory=dict)
    """Config paths of integers that keep their proportion to this one, with their values in the config."""

    @property
    def step(self) -> int:
        """Values are multiples of this, so that coupled integers are whole."""
        return math.lcm(*(self.value // math.gcd(self.value, other) for other in self.coupled.values()))

    @property
    def index(self) -> str:
        """Index in its list with a dot before, or ""."""
        return list_index(self.path)


def apply_values(config: PretrainedConfig, axes: Mapping[str, Axis], values: Mapping[str, int]) -> PretrainedConfig:
    """A copy of a config with other values of some axes, per-layer lists cut to the depth.

    Raises:
        UnsupportedModelError: if the config's own rules forbid the values.
    """
    written, lengths = edits(axes, values)
    return edit_config(config, written, lengths=lengths)


def edits(axes: Mapping[str, Axis], values: Mapping[str, int]) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """What `edit_config` must write: integers by config path, and lengths of per-layer lists."""
    lengths = {path: (axes[name].value, value) for name, value in values.items() for path in axes[name].layer_lists}
    written = {
        path: other * value // axes[name].value
        for name, value in values.items()
        for path, other in {**axes[name].coupled, axes[name].path: axes[name].value}.items()
    }
    return written, lengths


def shallow_values(axes: Iterable[Axis]) -> dict[str, int]:
    """A smaller depth for every depth axis, so that builds are cheap."""
    return {axis.name: min(axis.value, SHALLOW) for axis in axes if axis.role == "layers"}
