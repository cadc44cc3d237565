"""The settings of a run: those of the config file, with the flags on top."""

import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from optimum_ose.commands.arguments import FLAGS, QUESTION
from optimum_ose.commands.config_file import read_config
from optimum_ose.configuration import OSEConfig
from optimum_ose.configuration.reading import config_from_dict
from optimum_ose.wording import shown

_LOGGER = logging.getLogger(__name__)
_STAGES = ("search", "distillation", "agora", "teacher_arguments", "student_arguments")
"""Settings of `OSEConfig` that hold a seed."""


def settings_of(arguments: Namespace) -> dict[str, Any]:
    """The settings that a command line and its config file give, checked. A flag wins over the file, and says so.

    Raises:
        InvalidConfigError: if a setting is unknown, of the wrong type, or out of range.
    """
    settings = read_config(arguments.config) if arguments.config else {}
    for name, place in FLAGS.items():
        value = getattr(arguments, name)
        if value is not None:
            settings = _with_flag(settings, name, place, value)
    config_from_dict(OSEConfig, settings, owner=f"--config {arguments.config}" if arguments.config else None)
    if arguments.seed is not None:
        for place in _other_seeds(settings, arguments.seed):
            _tell("seed", arguments.seed, place, _at(settings, place))
    return settings


def question_of(arguments: Namespace) -> dict[str, Any]:
    """The settings of a search that the arguments of `add_question` give."""
    return {name: value for name in QUESTION if (value := getattr(arguments, name)) is not None}


def config_of(arguments: Namespace) -> OSEConfig:
    """The whole configuration that a command line and its config file give; with --seed, every stage has that seed."""
    config = config_from_dict(OSEConfig, settings_of(arguments))
    return config if arguments.seed is None else seeded(config, arguments.seed)


def seeded(config: OSEConfig, seed: int | None) -> OSEConfig:
    """The config with every stage on one seed; None: each stage on its own, or 0 where it has none."""
    if seed is None:
        return replace(
            config,
            teacher_arguments={"seed": 0, **config.teacher_arguments},
            student_arguments={"seed": 0, **config.student_arguments},
        )
    return replace(
        config,
        search=replace(config.search, seed=seed),
        distillation=replace(config.distillation, seed=seed),
        agora=None if config.agora is None else replace(config.agora, seed=seed),
        teacher_arguments={**config.teacher_arguments, "seed": seed},
        student_arguments={**config.student_arguments, "seed": seed},
    )


def _with_flag(settings: Mapping[str, Any], name: str, place: tuple[str, ...], value: object) -> dict[str, Any]:
    """The settings with a flag in its place. Where no mapping can take it, the check of the settings tells why."""
    *parents, last = place
    inner = settings.get(parents[0], {}) if parents else settings
    if not isinstance(inner, Mapping):
        return dict(settings)
    if last in inner and inner[last] != value:
        _tell(name, value, place, inner[last])
    changed = {**inner, last: value}
    return {**settings, parents[0]: changed} if parents else changed


def _other_seeds(settings: Mapping[str, Any], seed: int) -> Iterator[tuple[str, ...]]:
    for stage in _STAGES:
        given = settings.get(stage)
        if isinstance(given, Mapping) and given.get("seed", seed) != seed:
            yield stage, "seed"


def _at(settings: Any, place: tuple[str, ...]) -> object:
    for name in place:
        settings = settings[name]
    return settings


def _tell(name: str, value: object, place: tuple[str, ...], other: object) -> None:
    flag = name.replace("_", "-")
    _LOGGER.warning("--%s %s wins over %s: %s in --config", flag, value, ".".join(place), shown(other))
