"""Configs and results to and from canonical JSON, and files written atomically.

Canonical means: sorted keys, shortest round-trip floats, no NaN, a newline at the end. The same value gives the same
bytes.
"""

import dataclasses
import hashlib
import json
import logging
import math
import os
import tempfile
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from optimum_ose.configuration import OSEConfig
from optimum_ose.core.certificate import Certificate
from optimum_ose.core.results import Evaluation, SearchResult
from optimum_ose.exceptions import InvalidConfigError

SCHEMA_VERSION = 1
_LOGGER = logging.getLogger(__name__)
_ConfigT = TypeVar("_ConfigT")


def canonical_json(value: object) -> str:
    """Canonical JSON text of records, mappings, sequences, numbers and strings. Infinite and NaN numbers become
    null.
    """
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def canonical_line(value: object) -> str:
    """`canonical_json` on one line, without the newline."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def plain(value: object) -> Any:
    """The value as dicts, lists, strings, numbers, booleans and None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item"):
        return plain(value.item())
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


def digest(value: object) -> str:
    """SHA-256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_line(value).encode()).hexdigest()


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: temporary name in the same folder, fsync, rename.

    Raises:
        OSError: if the folder cannot be written or the disk is full; the old file then stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """The value that a JSON file holds.

    Raises:
        InvalidConfigError: if the file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfigError(
            f"{path} must be a JSON file", f"reading it failed: {error}", "Restore the file, or remove it and run again"
        ) from error


def config_to_dict(config: object) -> dict[str, Any]:
    """A config record as a plain dict that carries `schema_version`."""
    return {"schema_version": SCHEMA_VERSION, **plain(config)}


def config_from_dict(kind: type[_ConfigT], values: Mapping[str, Any]) -> _ConfigT:
    """A config record from a plain dict; missing fields take their defaults.

    Raises:
        InvalidConfigError: on an unknown key (a warning only where a newer version wrote the dict), or a value out
            of range.
    """
    if not isinstance(values, Mapping):
        raise InvalidConfigError(
            f"{kind.__name__} must be given as a mapping", f"got {values!r}", "Write the settings as `name: value`"
        )
    known = {item.name for item in dataclasses.fields(typing.cast("Any", kind))}
    unknown = sorted(set(values) - known - {"schema_version"})
    if unknown:
        message = (f"{kind.__name__} knows the settings {', '.join(sorted(known))}", f"got {', '.join(unknown)}")
        if values.get("schema_version", SCHEMA_VERSION) <= SCHEMA_VERSION:
            raise InvalidConfigError(*message, "Remove or rename them")
        _LOGGER.warning("%s; %s: written by a newer version, ignored", *message)
    hints = typing.get_type_hints(kind)
    return kind(**{name: _revive(hints[name], values[name]) for name in known & set(values)})


def ose_config_from_dict(values: Mapping[str, Any]) -> OSEConfig:
    """`config_from_dict` for the whole way."""
    return config_from_dict(OSEConfig, values)


def evaluation_to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """One evaluation as a plain dict."""
    return typing.cast("dict[str, Any]", plain(evaluation))


def result_to_dict(result: SearchResult) -> dict[str, Any]:
    """A search result as `search.json` holds it: T, evaluations, certificate, winner, Pareto front. No clock, no
    host.
    """
    certificate: Certificate = result.certificate
    return {
        "schema_version": SCHEMA_VERSION,
        "winner": {
            "architecture": dict(result.architecture),
            "theta": plain(result.theta),
            "w": result.w,
            "objectives": plain(result.objectives),
        },
        "maximum_point": plain(result.maximum_point),
        "certificate": {
            **plain(certificate),
            "satisfied": certificate.satisfied,
            "statement": certificate.statement,
        },
        "evaluations": [evaluation_to_dict(evaluation) for evaluation in result.evaluations],
        "pareto_front": [evaluation_to_dict(evaluation) for evaluation in result.pareto_front],
    }


def _revive(hint: Any, value: Any) -> Any:
    """JSON knows lists and dicts only: give tuples, nested configs and optional configs their type back."""
    options = (
        typing.get_args(hint)
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
        else (hint,)
    )
    if value is None:
        return None
    for option in options:
        if dataclasses.is_dataclass(option) and isinstance(option, type):
            return config_from_dict(option, value)
    if isinstance(value, list):
        return tuple(_revive(None, item) for item in value)
    if isinstance(value, Mapping):
        return types.MappingProxyType({key: _revive(None, item) for key, item in value.items()})
    return value
