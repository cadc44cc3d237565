"""Finds the axes of a model type: which config integers are architectural, and what role each plays.

An integer's role follows from what it does to the parameter shapes when it is changed and the model is rebuilt (our
method; the papers assume the architectural parameters as given).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from transformers import PretrainedConfig

from optimum_ose.exceptions import InvalidArchitectureError, UnsupportedModelError
from optimum_ose.modeling.attributes import Attribute, config_attributes, counts_stages, layer_lists
from optimum_ose.modeling.axis import Axis
from optimum_ose.modeling.effects import find_effects
from optimum_ose.modeling.probing import Build, Prober, effect
from optimum_ose.modeling.repetition import repeats_layers
from optimum_ose.modeling.roles import Role, is_interface, is_ratio, may_be_depth, may_be_kv_heads, roles_of_scope

LAYERS = "num_hidden_layers"
HEADS = "num_attention_heads"
KV_HEADS = "num_key_value_heads"
HIDDEN = "hidden_size"
INTERMEDIATE = "intermediate_size"
STANDARD_NAMES: Mapping[Role, str] = MappingProxyType(
    {"layers": LAYERS, "hidden": HIDDEN, "intermediate": INTERMEDIATE, "heads": HEADS, "kv_heads": KV_HEADS}
)
"""Transformers' name of each standard role."""
_KNOWN: dict[tuple[type[PretrainedConfig], str, str | None], Mapping[str, "Axis"]] = {}
"""Axes already derived in this process, by config and task."""


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


def require_known(config: PretrainedConfig, known: Mapping[str, Axis], axes: Collection[str]) -> None:
    """Pass if a config has these axes.

    Raises:
        InvalidArchitectureError: naming the axes that it has.
    """
    unknown = sorted(set(axes) - set(known))
    if unknown:
        raise InvalidArchitectureError(
            f"model type {config.model_type!r} has the axes {', '.join(known)}",
            f"got {', '.join(unknown)}",
            "Use these names, as in this config's search space",
        )


def _derive(prober: Prober) -> Mapping[str, Axis]:
    base = prober.build({})
    if base is None:
        raise prober.reason or AssertionError("a build that failed has a reason")
    attributes = [item for item in config_attributes(prober.config) if not is_interface(item)]
    attributes.sort(key=lambda item: item.name not in STANDARD_NAMES.values())
    depths = _depths(prober, base, attributes)
    effects = find_effects(prober, base, depths, attributes)
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
    axes = [_with_shared_heads(axis, axes, attributes) for axis in axes]
    return MappingProxyType({axis.name: axis for axis in _named(axes, prober.config)})


def _with_shared_heads(axis: Axis, axes: Sequence[Axis], attributes: Sequence[Attribute]) -> Axis:
    """Heads, and the equal number of heads of keys and values that no tensor shows: latent attention has one each."""
    if axis.role != "heads":
        return axis
    known = {path for other in axes for path in (other.path, *other.coupled)}
    shared = {
        item.path: item.value
        for item in attributes
        if may_be_kv_heads(item) and item.scope == axis.scope and item.value == axis.value and item.path not in known
    }
    return replace(axis, coupled={**axis.coupled, **shared})


def _with_coupled(axis: Axis, coupled: Mapping[str, int]) -> list[Axis]:
    """An axis, and one for each number of heads coupled to a width: these keep their size by a rule, not by an edit."""
    heads = {path: value for path, value in coupled.items() if "head" in path and axis.value % value == 0}
    if axis.role != "hidden" or len(set(heads.values())) != 1 or axis.value in heads.values():
        return [replace(axis, coupled=coupled)]
    own = replace(axis, coupled={path: value for path, value in coupled.items() if path not in heads})
    return [own, *(Axis(name=p, path=p, role="heads", value=v, scope=axis.scope) for p, v in heads.items())]


def _depths(prober: Prober, base: Build, attributes: Sequence[Attribute]) -> dict[str, Axis]:
    """Axes that add whole tensors and resize few, by config path."""
    content = prober.config.to_dict()
    found = {}
    for item in attributes:
        if item.value is None or not may_be_depth(item):
            continue
        if not item.index and counts_stages(content, item.scope, item.value):
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
        is_open = item.name == LAYERS and not any(axis.scope == item.scope for axis in found.values())
        if is_open and item.value and repeats_layers(prober, item.path, item.value):
            found[item.path] = Axis(name=item.path, path=item.path, role="layers", value=item.value, scope=item.scope)
    return found


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
