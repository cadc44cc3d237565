"""Finds the axes of a model type: which config integers are architectural, and what role each plays.

An integer's role follows from what it does to the parameter shapes when it is changed and the model is rebuilt (our
method; the papers assume the architectural parameters as given).
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from transformers import PretrainedConfig

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.attributes import Attribute, config_attributes, counts_stages, layer_lists
from optimum_ose.modeling.building import edit_config
from optimum_ose.modeling.probing import Build, Effect, Prober, effect
from optimum_ose.modeling.repetition import repeats_layers
from optimum_ose.modeling.roles import (
    Role,
    is_interface,
    has_standard_name,
    is_ratio,
    may_be_depth,
    may_be_heads,
    may_be_unset,
    roles_of_scope,
)

LAYERS = "num_hidden_layers"
HEADS = "num_attention_heads"
KV_HEADS = "num_key_value_heads"
HIDDEN = "hidden_size"
INTERMEDIATE = "intermediate_size"
STANDARD_NAMES: Mapping[Role, str] = MappingProxyType(
    {"layers": LAYERS, "hidden": HIDDEN, "intermediate": INTERMEDIATE, "heads": HEADS, "kv_heads": KV_HEADS}
)
"""Transformers' name of each standard role."""
SHALLOW = 3
"""Depth at which widths are probed: enough for a first, an inner and a last layer."""
_MAX_PARTNERS = 8
"""How many integers are tried as partners of one that cannot change alone."""
_KNOWN: dict[tuple[type[PretrainedConfig], str, str | None], Mapping[str, "Axis"]] = {}
"""Axes already derived in this process, by config and task."""


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
        last = self.path.rsplit(".", 1)[-1]
        return f".{last}" if last.isdigit() else ""


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


def axis_attributes(config: PretrainedConfig, task: str | None = None) -> Mapping[str, str]:
    """Axis name -> config path, for every axis with a standard role that the config has.

    Raises:
        UnsupportedModelError: if the model cannot be built, or no axis is found.
    """
    axes = derive_axes(config, task)
    standard = {name: axis.path for name, axis in axes.items() if axis.role != "other"}
    return MappingProxyType(standard or {name: axis.path for name, axis in axes.items()})


def derive_axes(config: PretrainedConfig, task: str | None = None) -> Mapping[str, Axis]:
    """Every axis of a config by its name: standard roles first, then whatever else sizes the repeated layers.

    Raises:
        UnsupportedModelError: if the model cannot be built, or no axis is found.
    """
    key = (type(config), config.to_json_string(use_diff=False), task)
    if key not in _KNOWN:
        _KNOWN[key] = _derive(Prober(config, task))
    return _KNOWN[key]


def _derive(prober: Prober) -> Mapping[str, Axis]:
    base = prober.build({})
    if base is None:
        raise prober.reason or AssertionError("a build that failed has a reason")
    attributes = [item for item in config_attributes(prober.config) if not is_interface(item)]
    attributes.sort(key=lambda item: item.name not in STANDARD_NAMES.values())
    depths = _depths(prober, base, attributes)
    effects = _effects(prober, base, depths, attributes)
    axes = list(depths.values())
    for scope in dict.fromkeys(item.attribute.scope for item in effects):
        inside = [item for item in effects if item.attribute.scope == scope]
        for path, role in roles_of_scope(inside).items():
            found = next(item for item in inside if item.attribute.path == path)
            axes += _with_coupled(Axis(name=path, path=path, role=role, value=found.value, scope=scope), found.coupled)
    if not axes:
        raise UnsupportedModelError(
            f"model type {prober.config.model_type!r} must have a config integer that sets its depth or its width",
            f"none of {', '.join(item.path for item in attributes if item.value) or 'its integers'} does",
            "Choose a model whose config has integers such as num_hidden_layers or hidden_size",
        )
    return MappingProxyType({axis.name: axis for axis in _named(axes, prober.config)})


def _with_coupled(axis: Axis, coupled: Mapping[str, int]) -> list[Axis]:
    """An axis, and one for each number of heads coupled to a width: these keep their size by a rule, not by an edit."""
    heads = {path: value for path, value in coupled.items() if "head" in path and axis.value % value == 0}
    if axis.role != "hidden" or len(set(heads.values())) != 1 or axis.value in heads.values():
        return [replace(axis, coupled=coupled)]
    own = replace(axis, coupled={path: value for path, value in coupled.items() if path not in heads})
    return [own, *(Axis(name=p, path=p, role="heads", value=v, scope=axis.scope) for p, v in heads.items())]


def shallow_values(axes: Iterable[Axis]) -> dict[str, int]:
    """A smaller depth for every depth axis, so that builds are cheap."""
    return {axis.name: min(axis.value, SHALLOW) for axis in axes if axis.role == "layers"}


def _depths(prober: Prober, base: Build, attributes: Sequence[Attribute]) -> dict[str, Axis]:
    """Axes that add whole tensors and resize few, by config path."""
    content = prober.config.to_dict()
    found = {}
    for item in attributes:
        if item.value is None or not may_be_depth(item) or counts_stages(content, item.scope, item.value):
            continue
        probe = item.value - 1 if item.value > 1 else 2
        for lists in layer_lists(content, item.scope, item.value) if not item.index else ((),):
            after = prober.build({item.path: probe}, dict.fromkeys(lists, (item.value, probe)))
            if after is None:
                continue
            seen = effect(item, probe, base, after, value=item.value)
            if len(seen.renamed) > len(seen.changed):
                found[item.path] = Axis(
                    name=item.path,
                    path=item.path,
                    role="layers",
                    value=item.value,
                    scope=item.scope,
                    layer_lists=lists,
                )
                break
    for item in attributes:
        if item.name == LAYERS and item.value and not any(axis.scope == item.scope for axis in found.values()):
            if repeats_layers(prober, item.path, item.value):
                found[item.path] = Axis(name=item.path, path=item.path, role="layers", value=item.value, scope=item.scope)
    return found


def _effects(
    prober: Prober, base: Build, depths: Mapping[str, Axis], attributes: Sequence[Attribute]
) -> tuple[Effect, ...]:
    """The effect of every other integer, seen at a small depth."""
    values, lengths = edits(depths, shallow_values(depths.values()))
    shallow = prober.build(values, lengths)
    if shallow is None:
        values, lengths, shallow = {}, {}, base
    effects = []
    for item in attributes:
        if item.path in depths:
            continue
        if item.value is None:
            unset = _unset(prober, item, shallow, values, lengths) if may_be_unset(item) else None
            effects += [unset] if unset else []
            continue
        seen = _seen(prober, item, shallow, values, lengths)
        if shallow is not base and has_standard_name(item) and (seen is None or not (seen.changed or seen.has_settings)):
            seen = _seen(prober, item, base, {}, {})
        if seen is None and has_standard_name(item) and not any(item.path in other.coupled for other in effects):
            seen = _coupled(prober, item, attributes, shallow, values, lengths)
        effects += [seen] if seen else []
    return tuple(item for item in effects if item.changed or item.renamed or may_be_heads(item.attribute))


def _seen(
    prober: Prober,
    item: Attribute,
    before: Build,
    values: Mapping[str, int],
    lengths: Mapping[str, tuple[int, int]],
) -> Effect | None:
    """The effect of the first other value that builds."""
    own = item.value or 1
    for probe in dict.fromkeys((own // 2, own * 2, own - 1)):
        after = prober.build({**values, item.path: probe}, lengths) if probe > 0 else None
        if after is not None:
            return effect(item, probe, before, after, value=own)
    return None


def _coupled(
    prober: Prober,
    item: Attribute,
    attributes: Sequence[Attribute],
    before: Build,
    values: Mapping[str, int],
    lengths: Mapping[str, tuple[int, int]],
) -> Effect | None:
    """The effect of an integer that builds only if others keep their proportion to it: equal ones first, then heads."""
    own = item.value or 1
    others = {other.path: other.value for other in attributes if other.value and other.path != item.path}
    equal = [path for path, value in others.items() if value == own]
    heads = [path for path in others if path.startswith(item.scope) and re.search(r"heads$|n_head$", path)]
    sets = [(path,) for path in (*equal, *heads)][:_MAX_PARTNERS]
    for partners in (*sets, tuple(equal), (*equal, *heads)):
        coupled = {path: others[path] for path in partners if path in others}
        for factor in (2, 4):
            if not coupled or any(value % factor for value in (own, *coupled.values())):
                continue
            changes = {path: value // factor for path, value in {**coupled, item.path: own}.items()}
            after = prober.build({**values, **changes}, lengths)
            if after is not None:
                return replace(effect(item, own // factor, before, after, value=own), coupled=coupled)
    return None


def _unset(
    prober: Prober, item: Attribute, shallow: Build, values: Mapping[str, int], lengths: Mapping[str, tuple[int, int]]
) -> Effect | None:
    """The effect of an attribute that is None, if some integer in its place gives the very same network."""
    for probe in (64, 2, 1):
        after = prober.build({**values, item.path: probe}, lengths)
        if after is None:
            continue
        seen = effect(item, probe, shallow, after, value=0)
        sizes = {
            shallow.shapes[name][index]
            for name, dimensions in seen.changed.items()
            for index in dimensions
            if after.shapes[name][index] == probe
        }
        for value in sizes:
            if prober.build({**values, item.path: value}, lengths) == shallow:
                return replace(seen, value=value)
    return None


def _named(axes: Sequence[Axis], config: PretrainedConfig) -> list[Axis]:
    """Standard names where the config itself, or its only integer of that role, plays a standard role."""
    mapped: Mapping[str, str] = getattr(type(config), "attribute_map", {})
    named = []
    for role in (*STANDARD_NAMES, "other"):
        group = [axis for axis in axes if axis.role == role]
        top = [axis for axis in group if not axis.scope and not axis.index and not is_ratio(axis.path)]
        standard = STANDARD_NAMES.get(role, "")
        top = [] if any(axis.path == standard and axis.role != role for axis in axes) else top
        own = [axis for axis in top if axis.path == mapped.get(standard, standard)] or (top if len(top) == 1 else [])
        named += [replace(axis, name=standard if standard and axis in own[:1] else axis.path) for axis in group]
    return named
