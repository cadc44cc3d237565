"""Owns the point of a search space: a named tuple of architectural parameters."""

import operator
from collections.abc import Iterator, Mapping
from typing import NoReturn, final

from optimum_ose.exceptions import InvalidArchitectureError


@final
class Architecture(Mapping[str, int]):
    """An immutable, hashable assignment of a positive integer to every axis of a search space.

    Values are read as items, ``architecture["hidden_size"]``, or as attributes, ``architecture.hidden_size``; axes of a
    nested config keep their dotted path as name and are read as items. The order in which axes are given is irrelevant.
    Architectures are totally ordered, lexicographically over their sorted (axis, value) pairs, to break ties.

    Args:
        axes: axis name -> value, a Python or numpy integer greater than zero.
        **named_axes: more axes, for names that are identifiers.

    Raises:
        InvalidArchitectureError: if there is no axis, or a value is not a positive integer.
    """

    __slots__ = ("_axes", "_hash")
    _axes: dict[str, int]
    _hash: int

    def __init__(self, axes: Mapping[str, int] | None = None, /, **named_axes: int) -> None:
        given = {**(axes or {}), **named_axes}
        if not given:
            raise InvalidArchitectureError(
                "An architecture names at least one axis",
                "none was given",
                "Pass a mapping such as {'hidden_size': 256}.",
            )
        checked = {name: _positive_integer(name, given[name]) for name in sorted(given)}
        object.__setattr__(self, "_axes", checked)
        object.__setattr__(self, "_hash", hash(tuple(checked.items())))

    def replace(self, axes: Mapping[str, int] | None = None, /, **named_axes: int) -> "Architecture":
        """A new architecture with some values changed.

        Raises:
            InvalidArchitectureError: if an axis is not one of its own, or a value is not a positive integer.
        """
        changes = {**(axes or {}), **named_axes}
        unknown = sorted(changes.keys() - self._axes.keys())
        if unknown:
            raise InvalidArchitectureError(
                f"Only the axes {', '.join(self._axes)} can be replaced",
                f"{', '.join(unknown)} came",
                "Build a new Architecture to add an axis.",
            )
        return Architecture({**self._axes, **changes})

    def __getitem__(self, axis: str) -> int:
        return self._axes[axis]

    def __getattr__(self, axis: str) -> int:
        if not axis.startswith("_") and axis in self._axes:
            return self._axes[axis]
        raise AttributeError(f"{type(self).__name__} has no axis {axis!r}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Architecture is frozen; use replace({name}=...) to derive another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an Architecture is frozen")

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Architecture):
            return self._axes == other._axes
        return self._axes == other if isinstance(other, dict) else NotImplemented

    def __lt__(self, other: "Architecture") -> bool:
        return tuple(self._axes.items()) < tuple(other._axes.items())

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type["Architecture"], tuple[dict[str, int]]]:
        return Architecture, (dict(self._axes),)

    def __repr__(self) -> str:
        if all(name.isidentifier() for name in self._axes):
            return f"Architecture({', '.join(f'{name}={value}' for name, value in self._axes.items())})"
        return f"Architecture({self._axes!r})"


def sizes_in_words(sizes: Mapping[str, int]) -> str:
    """The axes of an architecture with their values, such as "depth=2, width=64"."""
    return ", ".join(f"{axis}={value}" for axis, value in sizes.items())


def _positive_integer(axis: str, value: object) -> int:
    try:
        integer = 0 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        integer = 0
    if integer <= 0:
        raise InvalidArchitectureError(
            "Every axis of an architecture is a positive integer",
            f"{axis}={value!r} came",
            "Give a whole number greater than zero.",
        )
    return integer
