"""What the settings of a config must fulfil; all errors of a config are reported together."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from optimum_ose.configuration.faults import Fault, configs_of, faults_of, refusal
from optimum_ose.configuration.kinds import STRICT
from optimum_ose.configuration.plain_values import NotPlainError, as_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Rule = tuple[bool, str, object]
"""Of several settings together: whether it holds, what must hold, what came."""


def check(config: object, combinations: Callable[[], Sequence[Rule]] = tuple) -> None:
    """Raise one error that names every setting of the wrong type or out of range, else every broken rule.

    Args:
        config: a config record whose annotations say what its settings must be.
        combinations: rules on several settings; asked only if each setting alone is right.

    Raises:
        InvalidConfigError: if any does not hold.
    """
    hints = _hints(cast("Hashable", type(config)))
    faults = [fault for name, hint in hints.items() for fault in setting_faults(hint, getattr(config, name), name)]
    faults = faults or [Fault("", rule, value) for holds, rule, value in combinations() if not holds]
    if faults:
        raise refusal(type(config).__name__, faults)


def setting_faults(hint: Any, value: object, name: str) -> Iterable[Fault]:
    """What is wrong with the value of one setting, by its annotation.

    Args:
        hint: the annotation. Where it names config records, the value must be one of them, or None where that is
            allowed.
        value: what came.
        name: of the setting.
    """
    from pydantic import ValidationError

    if configs := configs_of(hint):
        allowed = (*configs, type(None)) if hint not in configs else tuple(configs)
        return [] if isinstance(value, allowed) else [Fault(name, f"must be of type {configs[0].__name__}", value)]
    try:
        adapter_of(hint).validate_json(as_json(value, name))
    except ValidationError as error:
        return faults_of(error, hint, name)
    except NotPlainError as error:
        return [error.fault]
    return []


@cache
def adapter_of(hint: Any) -> "TypeAdapter[Any]":
    """What checks and reads JSON of a type, strictly."""
    from pydantic import TypeAdapter

    return TypeAdapter(hint, config=None if configs_of(hint) else STRICT)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {item.name: hints[item.name] for item in fields(kind)}
