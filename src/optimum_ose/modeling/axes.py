"""Finds the axes of a model type: which config integers are architectural, and what role each plays.

An integer's role follows from what it does to the parameter shapes when it is changed and the model is rebuilt (our
method; the papers assume
the architectural parameters as given). Standard names are used only for heads, which in most encoders change no
shape at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from transformers import PretrainedConfig

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.building import Shapes, build_on_meta, edit_config, integer_attributes, parameter_shapes

LAYERS = "num_hidden_layers"
HEADS = "num_attention_heads"
HIDDEN = "hidden_size"
INTERMEDIATE = "intermediate_size"
_KNOWN: dict[tuple[type[PretrainedConfig], str, str | None], Mapping[str, str]] = {}
"""Axes already derived in this process, by config and task."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What doubling one config integer does to the parameter shapes."""

    attribute: str
    """Config path."""
    value: int
    """Value in the config."""
    probe: int
    """Value that was tried."""
    added: tuple[str, ...]
    """Names of tensors that exist only with the larger value."""
    changed: Mapping[str, tuple[int, ...]]
    """Name of each tensor whose shape changed, and which of its dimensions did."""


def axis_attributes(config: PretrainedConfig, task: str | None = None) -> Mapping[str, str]:
    """Axis name -> config path, for every architectural axis that the config has.

    Raises:
        UnsupportedModelError: if the model cannot be built, or no axis is found.
    """
    key = (type(config), config.to_json_string(use_diff=False), task)
    if key not in _KNOWN:
        _KNOWN[key] = _derive(config, task)
    return _KNOWN[key]


def _derive(config: PretrainedConfig, task: str | None) -> Mapping[str, str]:
    effects = probe(config, task)
    found = {
        LAYERS: _layers(effects),
        HIDDEN: _hidden(effects),
        INTERMEDIATE: _intermediate(effects),
        HEADS: _heads(config, effects),
    }
    axes = {axis: attribute for axis, attribute in found.items() if attribute is not None}
    _require_understood(config, effects, axes)
    if LAYERS not in axes and HIDDEN not in axes:
        raise UnsupportedModelError(
            f"model type {config.model_type!r} must have a config integer that sets its depth or its width",
            f"none of {', '.join(effect.attribute for effect in effects)} does",
            "Use an encoder such as BERT, RoBERTa, DistilBERT or ELECTRA",
        )
    return MappingProxyType(axes)


def _require_understood(config: PretrainedConfig, effects: tuple["Effect", ...], axes: Mapping[str, str]) -> None:
    """Refuse a model whose layers follow an integer that is no axis: its sizes could not be told apart."""
    for effect in effects:
        layered = [name for name in effect.changed if _is_indexed(name)]
        if layered and effect.attribute not in axes.values():
            raise UnsupportedModelError(
                f"the layers of model type {config.model_type!r} must follow {', '.join(axes)} only",
                f"{effect.attribute} resizes {layered[0]} too",
                "Use an encoder such as BERT, RoBERTa, DistilBERT or ELECTRA",
            )


def probe(config: PretrainedConfig, task: str | None) -> tuple[Effect, ...]:
    """The effect of every config integer that can be doubled."""
    before = parameter_shapes(build_on_meta(config, task))
    effects = []
    for attribute, value in integer_attributes(config):
        try:
            after = parameter_shapes(build_on_meta(edit_config(config, {attribute: 2 * value}), task))
        except UnsupportedModelError:
            # A config that does not build tells nothing about shapes; nothing depends on such an integer alone.
            after = before
        effects.append(_effect(attribute, value, before, after))
    return tuple(effects)


def _effect(attribute: str, value: int, before: Shapes, after: Shapes) -> Effect:
    changed = {
        name: tuple(index for index, size in enumerate(shape) if size != after[name][index])
        for name, shape in before.items()
        if name in after and after[name] != shape and len(after[name]) == len(shape)
    }
    added = tuple(name for name in after if name not in before)
    return Effect(attribute, value, 2 * value, added, MappingProxyType(changed))


def _layers(effects: tuple[Effect, ...]) -> str | None:
    """The integer that adds tensors and resizes none; the one that adds most, if several do."""
    adders = [effect for effect in effects if effect.added and not effect.changed]
    return max(adders, key=lambda effect: len(effect.added)).attribute if adders else None


def _hidden(effects: tuple[Effect, ...]) -> str | None:
    """The integer that resizes the most tensors: the residual stream passes through every layer."""
    sizers = [effect for effect in effects if effect.changed and not effect.added]
    return max(sizers, key=lambda effect: len(effect.changed)).attribute if sizers else None


def _intermediate(effects: tuple[Effect, ...]) -> str | None:
    """The integer other than width and heads that resizes the most tensors inside the repeated layers."""
    hidden = _hidden(effects)
    inner = [
        (effect, sum(_is_indexed(name) for name in effect.changed))
        for effect in effects
        if effect.changed and not effect.added and effect.attribute != hidden
    ]
    inner = [(effect, count) for effect, count in inner if count]
    return max(inner, key=lambda pair: pair[1])[0].attribute if inner else None


def _heads(config: PretrainedConfig, effects: tuple[Effect, ...]) -> str | None:
    """The integer that the config itself calls its attention heads."""
    name = getattr(type(config), "attribute_map", {}).get(HEADS, HEADS)
    return name if any(effect.attribute == name for effect in effects) else None


def _is_indexed(name: str) -> bool:
    return any(part.isdigit() for part in name.split("."))
