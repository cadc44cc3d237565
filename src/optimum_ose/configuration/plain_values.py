"""Settings as JSON text: what a config file can hold, and nothing else."""

import json
from collections.abc import Mapping
from typing import Any

from optimum_ose.configuration.faults import Fault

_DEEPEST = 32
_LARGEST = 10**300
"""Larger whole numbers are no floating-point numbers, and Python does not print the largest ones."""


class NotPlainError(ValueError):
    """A value that no config file can hold.

    Args:
        fault: what is wrong with it, and where.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def as_json(value: object, path: str = "") -> str:
    """JSON of a value that consists of texts, numbers (numpy's too), true, false, null, lists and mappings.

    Args:
        value: what is written.
        path: where it stands in its config.

    Raises:
        NotPlainError: if it holds anything else.
    """
    return json.dumps(_plain(value, path, 0))


def _plain(value: object, path: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise NotPlainError(Fault(path, f"must not be nested more than {_DEEPEST} levels deep", value))
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise NotPlainError(Fault(path, "must be a number of reasonable size", value))
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        named = {name: f"{path}.{name}".removeprefix(".") for name in value}
        wrong = next((name for name in named if not isinstance(name, str)), None)
        if wrong is not None:
            raise NotPlainError(Fault(path, "must have text as names of settings", wrong))
        return {name: _plain(item, named[name], depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(value)]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _plain(value.item(), path, depth + 1)
    rule = "must consist of text, numbers, true, false, null, lists and mappings"
    raise NotPlainError(Fault(path, rule, value))
