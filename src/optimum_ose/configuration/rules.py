"""What a setting must fulfil; all faults of a config are told at once, so that a user mends them in one go."""

from collections.abc import Sequence
from typing import get_args, get_type_hints

from optimum_ose.exceptions import InvalidConfigError

Rule = tuple[bool, str, object]
"""Of a setting: whether it holds, what must hold, what came."""


def check(owner: str, rules: Sequence[Rule]) -> None:
    """Raise one error that names every rule that does not hold."""
    broken = [(rule, value) for holds, rule, value in rules if not holds]
    if broken:
        raise InvalidConfigError(
            f"{owner}: " + "; ".join(rule for rule, _ in broken),
            "got " + ", ".join(repr(value) for _, value in broken),
            "Change the named settings",
        )


def choice(config: object, name: str) -> Rule:
    """A field must have one of the values that its annotation lists."""
    *others, last = get_args(get_type_hints(type(config))[name])
    value = getattr(config, name)
    return value in {*others, last}, f"{name} must be {', '.join(others)} or {last}", value


def none_or_positive(config: object, name: str) -> Rule:
    """A field must be None or greater than zero."""
    value = getattr(config, name)
    return value is None or value > 0, f"{name} must be positive", value
