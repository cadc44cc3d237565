"""Configs and results to and from canonical JSON, and files written atomically.

Canonical means: sorted keys, shortest round-trip floats, no NaN, a newline at the end. The same value gives the same
bytes.
"""

import dataclasses
import hashlib
import json
import math
import os
import tempfile
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optimum_ose.configuration.reading import SCHEMA_VERSION
from optimum_ose.core.certificate import Certificate
from optimum_ose.core.results import Evaluation, SearchResult
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.wording import reading_fault


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
    except (ValueError, RecursionError) as error:
        raise InvalidConfigError(
            f"{path} must be a JSON file",
            f"reading it failed: {reading_fault(error)}",
            "Restore the file, or remove it and run again",
        ) from error


def config_to_dict(config: object) -> dict[str, Any]:
    """A config record as a plain dict that carries `schema_version`."""
    return {"schema_version": SCHEMA_VERSION, **plain(config)}


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
