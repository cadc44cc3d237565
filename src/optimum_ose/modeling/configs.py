"""Loads the config of a model, and checks what it says before anything is built from it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.source import damaged, find_file, not_loaded, read_object, require_source
from optimum_ose.wording import listed, one_line, shown

CONFIG = "config.json"
_ADAPTER = "adapter_config.json"
_MOST_LAYERS = 10_000
"""More than any known model has; each is built once, without storage, before the weights are read."""
_DEPTHS = ("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
_LOGGER = logging.getLogger(__name__)


def load_config(source: str, *, trust_remote_code: bool = False, revision: str | None = None) -> PretrainedConfig:
    """The config of a folder or Hub id, in which `label2id` is the inverse of `id2label`.

    Raises:
        InvalidConfigError: if there is none, or it contradicts itself.
        UnsupportedModelError: if Transformers does not know its model type, or the weights are quantized or an adapter.
    """
    source = require_source(source)
    content = read_object(source, CONFIG, revision=revision)
    _refuse_adapter(source, revision=revision)
    if content is None and Path(source).is_dir():
        raise not_loaded(source, f"it has no file named {CONFIG}")
    if content is not None:
        _check_model_type(source, content, trust_remote_code=trust_remote_code)
        _check_architectures(source, content.get("architectures"))
        _refuse_quantized(source, content)
        content = {**content, "id2label": class_names(source, content)}
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code, revision=revision)
    except OSError as error:
        raise not_loaded(source, error) from error
    except BUILD_ERRORS as error:
        raise damaged(source, CONFIG, str(error), remedy="Correct this setting of config.json") from error
    if not isinstance(config, PretrainedConfig):
        raise not_loaded(source, "its config.json describes no Transformers model")
    _check_depth(source, config)
    if content is not None and content["id2label"]:
        settle_labels(config, content["id2label"], stated=content.get("label2id"))
    return config


def class_names(source: str, content: Mapping[str, Any]) -> dict[int, str]:
    """The classes that a config.json names, by number; empty if it names none.

    Raises:
        InvalidConfigError: if they are no numbered names, or not as many as `num_labels` says.
    """
    named, numbered = content.get("id2label"), content.get("label2id")
    if not named and isinstance(numbered, dict) and numbered:
        named = {str(index): name for name, index in numbered.items()}
        if len(named) < len(numbered):
            raise _bad_labels(source, "label2id", numbered, "names of classes -> 0, 1, 2, ..., each number once")
    if named is None or named == {}:
        return {}
    if not isinstance(named, dict) or not all(isinstance(name, str | int | float) for name in named.values()):
        raise _bad_labels(source, "id2label", named, "numbers -> names of classes")
    if set(named) != {str(index) for index in range(len(named))}:
        raise _bad_labels(source, "id2label", named, f"the numbers 0 to {len(named) - 1} -> names of classes")
    names = {index: str(named[str(index)]) for index in range(len(named))}
    if len(set(names.values())) < len(names):
        raise _bad_labels(source, "id2label", named, "numbers -> names of classes, each name once")
    stated = content.get("num_labels")
    if stated is not None and stated != len(names):
        raise InvalidConfigError(
            "num_labels and id2label of config.json must agree",
            f"in {one_line(source, limit=120)}, num_labels is {shown(stated)}, and id2label names {len(names)} classes",
            "Remove num_labels, or complete id2label",
        )
    return names


def settle_labels(config: PretrainedConfig, names: dict[int, str], *, stated: object) -> None:
    """Write a model's classes into its config, in place; `label2id` becomes their inverse.

    Args:
        config: of the model.
        names: of the classes, by number.
        stated: the `label2id` of config.json. One that contradicts `id2label` is left out, with a warning.
    """
    inverse = {name: index for index, name in names.items()}
    if isinstance(stated, dict) and stated and {str(name): index for name, index in stated.items()} != inverse:
        wrong = [f"{name}: {shown(index)}" for name, index in stated.items() if inverse.get(str(name)) != index]
        _LOGGER.warning(
            "label2id of config.json contradicts id2label (%s): id2label is used", listed(wrong or ["classes missing"])
        )
    config.id2label = dict(names)
    config.label2id = inverse


def _check_model_type(source: str, content: Mapping[str, Any], *, trust_remote_code: bool) -> None:
    model_type = content.get("model_type")
    if isinstance(model_type, str) and model_type in CONFIG_MAPPING:
        return
    if trust_remote_code and "auto_map" in content:
        return
    what = "it names no model_type" if model_type is None else f"it names model_type {shown(model_type)}"
    code = ", and custom code, which is not run" if "auto_map" in content else ""
    raise UnsupportedModelError(
        "The model type must be one that this transformers version knows",
        f"config.json of {one_line(source, limit=120)}: {what}{code}",
        "Update transformers, correct model_type in config.json, or choose another model",
    )


def _check_architectures(source: str, named: object) -> None:
    if named is not None and not (isinstance(named, list) and all(isinstance(name, str) for name in named)):
        raise damaged(
            source, CONFIG, f"architectures is {shown(named)}", remedy="Give a list of class names in config.json"
        )


def _refuse_quantized(source: str, content: Mapping[str, Any]) -> None:
    settings = content.get("quantization_config") or content.get("compression_config")
    if settings:
        method = settings.get("quant_method") if isinstance(settings, dict) else None
        raise UnsupportedModelError(
            "The weights must be floating-point numbers that can be trained",
            f"config.json of {one_line(source, limit=120)} has a quantization_config ({shown(method or settings)})",
            "Use the model from which it was quantized",
        )


def _refuse_adapter(source: str, *, revision: str | None) -> None:
    if find_file(source, _ADAPTER, revision=revision) is not None:
        raise UnsupportedModelError(
            "A model must have weights of its own",
            f"{one_line(source, limit=120)} holds {_ADAPTER}: an adapter of another model",
            "Merge it with peft (model.merge_and_unload()) and save the whole model",
        )


def _check_depth(source: str, config: PretrainedConfig) -> None:
    for name in _DEPTHS:
        depth = getattr(config, name, None)
        if isinstance(depth, int) and depth > _MOST_LAYERS:
            raise damaged(
                source, CONFIG, f"{name} is {depth:,}", remedy=f"Give at most {_MOST_LAYERS:,} layers in config.json"
            )


def _bad_labels(source: str, name: str, value: object, expected: str) -> InvalidConfigError:
    return InvalidConfigError(
        f"{name} of config.json must map {expected}",
        f"in {one_line(source, limit=120)} it is {shown(value)}",
        f"Correct {name}",
    )
