"""What is wrong with settings, in words: where, what must hold, what came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, final, get_args, get_type_hints

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.wording import listed, one_line, shown

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_MOST_TOLD = 6
_RULES = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text",
    "tuple": "must be a list",
    "list": "must be a list",
    "mapping": "must be a mapping (name: value)",
    "dict": "must be a mapping (name: value)",
}
"""Beginning of pydantic's name of an error -> what must hold."""


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a setting."""

    path: str
    """Where it stands, such as `search.epsilon`; empty: the rule names the settings."""
    rule: str
    """What must hold."""
    value: object
    """What came."""

    @property
    def text(self) -> str:
        """The rule after the setting's name."""
        return f"{one_line(self.path, limit=80)} {self.rule}".strip()


def refusal(owner: str, faults: Sequence[Fault]) -> InvalidConfigError:
    """One error that tells of all faults; of many, of the first few and how many more there are.

    Args:
        owner: whose settings they are.
        faults: at least one.
    """
    told, more = faults[:_MOST_TOLD], len(faults) - _MOST_TOLD
    tail = f" and {more} more" if more > 0 else ""
    return InvalidConfigError(
        f"{owner}: " + "; ".join(fault.text for fault in told) + (f";{tail} errors" if tail else ""),
        "got " + ", ".join(shown(fault.value, limit=60) for fault in told) + tail,
        "Change the named settings",
    )


def faults_of(error: "ValidationError", kind: Any, path: str = "") -> list[Fault]:
    """What pydantic found, in our words.

    Args:
        error: of a check of a value.
        kind: the type that it was checked against.
        path: where the value stands in its config.
    """
    return [_fault(found, kind, path) for found in error.errors(include_url=False)]


def _fault(found: "ErrorDetails", kind: Any, path: str) -> Fault:
    location = found["loc"]
    place = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    place, value, name = place.removeprefix("."), found["input"], found["type"]
    if name == "unexpected_keyword_argument":
        return _unknown(place, str(location[-1]), _config_at(kind, location[:-1]))
    cause = found.get("ctx", {}).get("error")
    if isinstance(cause, InvalidConfigError):
        return _of_combination(cause, place)
    if name == "bounds":
        return Fault(place, found["msg"], value)
    if name == "literal_error":
        return Fault(place, f"must be {found['ctx']['expected'].replace(chr(39), '')}", value)
    if name == "dataclass_type":
        return Fault(place, f"must be a mapping of the settings of {found['ctx']['class_name']}", value)
    rule = next((rule for start, rule in _RULES.items() if name.startswith(start)), None)
    return Fault(place, rule or f"must be valid ({one_line(found['msg'], limit=80)})", value)


def _unknown(place: str, name: str, config: type) -> Fault:
    known = [item.name for item in fields(config)]
    near = get_close_matches(name, known, n=1)
    hint = f"the nearest is {near[0]}" if near else f"which are {listed(known, limit=30)}"
    return Fault(place, f"must be one of the settings of {config.__name__}; {hint}", Unquoted(name))


@final
class Unquoted(str):
    """Text that messages show without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _of_combination(cause: InvalidConfigError, place: str) -> Fault:
    """A config record refused its settings: they fit their types, but not each other."""
    _, _, rule = cause.expected.partition(": ")
    return Fault(f"{place}:" if place else "", rule, Unquoted(cause.actual.removeprefix("got ")))


def _config_at(kind: Any, location: Iterable[int | str]) -> type:
    """The config record at a place of another."""
    found: type = configs_of(kind)[0]
    for part in location:
        found = configs_of(get_type_hints(found)[str(part)])[0]
    return found


def configs_of(hint: Any) -> list[type]:
    """The config records that an annotation names: itself, or those that it allows."""
    return [option for option in (hint, *get_args(hint)) if isinstance(option, type) and is_dataclass(option)]
