"""Checks of arguments from outside: each passes, or raises an error that says what must be given."""

import operator
import os
from pathlib import Path
from typing import Any

from optimum_ose.exceptions import InvalidConfigError, OutputFolderError
from optimum_ose.wording import can_name_a_file, one_line, shown

_PLAIN = (str, bytes, int, float, bool, type(None))


def described(value: object) -> str:
    """What came instead of what was wanted, in a few words: the value, or what kind of thing it is."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    return shown(value) if isinstance(value, _PLAIN) else f"a {type(value).__name__}"


def require_kind(value: object, kinds: type | tuple[type, ...], name: str, remedy: str) -> None:
    """Pass if a value is of one of some kinds.

    Args:
        value: the argument.
        kinds: as `isinstance` takes them.
        name: of the argument.
        remedy: what to do.

    Raises:
        InvalidConfigError: if it is of another kind.
    """
    if not isinstance(value, kinds):
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in wanted)
        raise InvalidConfigError(f"{name} must be of the kind {names}", f"got {described(value)}", remedy)


def require_config(value: object, kind: type, name: str = "config") -> None:
    """Pass if a value is None, which stands for the defaults, or a config of the kind.

    Raises:
        InvalidConfigError: if it is another kind of config, a dictionary, or anything else.
    """
    remedy = f"Pass {kind.__name__}(...), or leave {name} out"
    if isinstance(value, dict):
        remedy = f"Make a {kind.__name__} of it: {kind.__name__}(**{name})"
    require_kind(value, (kind, type(None)), name, remedy)


def require_path(value: object, name: str) -> Path:
    """A path from a string or a path object.

    Raises:
        InvalidConfigError: if it is something else, empty, not in UTF-8, or holds what no path can hold.
    """
    remedy = "Pass a string or a pathlib.Path"
    require_kind(value, (str, os.PathLike), name, remedy)
    text = os.fspath(value)  # type: ignore[call-overload]  # checked above
    if not isinstance(text, str) or not can_name_a_file(text):
        raise InvalidConfigError(f"{name} must name a file or folder", f"got {shown(text)}", remedy)
    return Path(text)


def require_folder(path: Path) -> None:
    """Pass if a folder exists.

    Raises:
        OutputFolderError: if there is nothing of that name, or a file.
    """
    if not path.is_dir():
        what = "it is a file" if path.exists() else "there is no such folder"
        raise OutputFolderError(f"{one_line(path, limit=200)} must be a folder", what, "Check the path")


def path_or_none(value: object, name: str) -> Path | None:
    """As `require_path`; None stays None."""
    return None if value is None else require_path(value, name)


def folder_or_none(value: object, name: str) -> Path | None:
    """As `path_or_none`, of a folder that is there or can be made.

    Raises:
        InvalidConfigError: if the path, or one above it, is a file.
    """
    path = path_or_none(value, name)
    if path is not None:
        present = next(part for part in (path, *path.absolute().parents) if part.exists())
        if not present.is_dir():
            raise InvalidConfigError(f"{name} must be a folder", f"{present} is a file", f"Pass a folder as {name}")
    return path


def require_whole_number(value: Any, name: str, *, least: int) -> int:
    """A whole number of Python or numpy.

    Raises:
        InvalidConfigError: if it is text, a fraction, true or false, or below `least`.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InvalidConfigError(
            f"{name} must be a whole number of at least {least}", f"got {described(value)}", f"Change {name}"
        )
    return number


def require_methods(value: object, names: tuple[str, ...], name: str) -> None:
    """Pass if a value has some methods; an object of any class may have them.

    Raises:
        InvalidConfigError: if it lacks one.
    """
    missing = [method for method in names if not callable(getattr(value, method, None))]
    if missing:
        raise InvalidConfigError(
            f"{name} must have the methods {' and '.join(names)}",
            f"got {described(value)}, without {', '.join(missing)}",
            f"Pass an object that has them as {name}",
        )


def require_callable(value: object, name: str) -> None:
    """Pass if a value can be called.

    Raises:
        InvalidConfigError: if it cannot.
    """
    if not callable(value):
        raise InvalidConfigError(f"{name} must be a function", f"got {described(value)}", f"Pass a function as {name}")
