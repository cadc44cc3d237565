"""Kinds of settings: types with their bounds, which pydantic checks. pydantic itself is imported when a check runs."""

import math
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, final

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

STRICT: "ConfigDict" = {"extra": "forbid", "strict": True}
"""How settings are read: unknown names, numbers given as text or for true and false, and fractions where a whole number
is meant, are refused. A whole number is taken for a number."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between which values a number must lie."""

    least: float | None = None
    """Smallest value."""
    above: float | None = None
    """Every value must be greater than this."""
    most: float | None = None
    """Greatest value."""
    below: float | None = None
    """Every value must be less than this."""
    cap: float = 1e9
    """Greatest value that makes sense at all; the description does not name it."""

    @property
    def text(self) -> str:
        """What must hold, to be put after the name of a setting."""
        low = self.above if self.least is None else self.least
        high = self.below if self.most is None else self.most
        if high is not None:
            is_open = self.least is None and self.most is None
            brackets = ("(" if self.least is None else "[", ")" if self.most is None else "]")
            interval = f"{brackets[0]}{low:,g}, {high:,g}{brackets[1]}"
            return f"must lie in {'the open interval ' if is_open else ''}{interval}"
        if low == 0:
            return "must be positive" if self.least is None else "must not be negative"
        return f"must be at least {low:,g}" if self.above is None else f"must be greater than {low:,g}"

    def broken_by(self, value: float) -> str | None:
        """What must hold and does not for this value; None if it lies between the bounds."""
        broken = (
            math.isnan(value)
            or (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.most is not None and value > self.most)
            or (self.below is not None and value >= self.below)
        )
        if broken:
            return self.text
        return f"must be at most {self.cap:,g}" if value > self.cap else None

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """See `pydantic`: the bounds are checked after the type."""
        from pydantic_core import PydanticCustomError, core_schema

        def check(value: float) -> float:
            rule = self.broken_by(value)
            if rule is not None:
                raise PydanticCustomError("bounds", "{rule}", {"rule": rule})
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))


@final
@dataclass(frozen=True, slots=True)
class Frozen:
    """Makes a mapping that was read unchangeable, with everything in it."""

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """See `pydantic`: the value is frozen after it was checked."""
        from pydantic_core import PydanticCustomError, core_schema

        def freeze(value: Any) -> Any:
            if not holds_finite_numbers(value):
                raise PydanticCustomError("bounds", "must hold finite numbers only")
            return frozen(value)

        return core_schema.no_info_after_validator_function(freeze, handler(source))


@final
@dataclass(frozen=True, slots=True)
class Filled:
    """Asks for at least one entry of a list, or one character of a text."""

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """See `pydantic`: the number of entries is checked after their types."""
        from pydantic_core import PydanticCustomError, core_schema

        def check(value: Sized) -> Sized:
            if not value:
                rule = "must not be empty" if isinstance(value, str) else "must hold at least one entry"
                raise PydanticCustomError("bounds", "{rule}", {"rule": rule})
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))


def frozen(value: Any) -> Any:
    """The value with tuples for lists and read-only mappings for dicts, all the way down."""
    if isinstance(value, Mapping):
        return MappingProxyType({name: frozen(item) for name, item in value.items()})
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


def holds_finite_numbers(value: Any) -> bool:
    """Whether no number in a value is infinite or NaN."""
    if isinstance(value, Mapping):
        return all(map(holds_finite_numbers, value.values()))
    if isinstance(value, list | tuple):
        return all(map(holds_finite_numbers, value))
    return not isinstance(value, float) or math.isfinite(value)


Count = Annotated[int, Bounds(least=1, cap=2**31 - 1)]
"""A whole number, at least 1."""
CountOrZero = Annotated[int, Bounds(least=0, cap=2**31 - 1)]
"""A whole number, at least 0."""
Size = Annotated[int, Bounds(above=0, cap=2**63 - 1)]
"""A number of parameters, at least 1."""
Length = Annotated[int, Bounds(least=1, cap=2**20)]
"""Tokens of a sequence, at least 1."""
TextLength = Annotated[int, Bounds(least=8, cap=2**20)]
"""Tokens of a text, at least 8."""
Threads = Annotated[int, Bounds(least=1, cap=1024)]
"""Threads, at least 1. More than a thousand exhaust what a process may start, which ends it without a message."""
Opset = Annotated[int, Bounds(least=14, most=20)]
"""An ONNX operator set that the exporter of PyTorch writes and ONNX Runtime reads."""
Seed = Annotated[int, Bounds(least=0, cap=2**32 - 1)]
"""Seed of random numbers, as numpy and scikit-learn take them: at least 0, below 2**32."""
Positive = Annotated[float, Bounds(above=0)]
"""A number greater than 0."""
NotNegative = Annotated[float, Bounds(least=0)]
"""A number, at least 0."""
Share = Annotated[float, Bounds(least=0, most=1)]
"""A number in [0, 1]."""
PositiveShare = Annotated[float, Bounds(above=0, most=1)]
"""A number in (0, 1]."""
Settings = Annotated[Mapping[str, Any], Frozen()]
"""Names and their values."""
