"""Where a model comes from: a folder or Hub id, and the files in it that are read before Transformers reads them."""

import json
import os
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils._validators import validate_repo_id
from transformers.utils.hub import cached_file

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.wording import first_line, one_line, reading_fault, shown

_EXPECTED = (
    "A model (--model) must be a folder or Hub id with a Transformers model in safetensors and its tokenizer, or for "
    "images its image processor"
)


def require_source(value: object) -> str:
    """A model's folder or Hub id as text.

    Raises:
        InvalidConfigError: if it is neither: a model object, a number, nothing, a file, a folder that does not exist.
    """
    if not isinstance(value, str | os.PathLike):
        raise InvalidConfigError(
            _EXPECTED, f"got {shown(value)} of type {type(value).__name__}", "Pass its name as a str or Path"
        )
    source = str(os.fspath(value))
    if not source.strip() or "\0" in source:
        raise InvalidConfigError(_EXPECTED, f"got {shown(source)}", "Pass the name of a model")
    try:
        path = Path(source).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, RuntimeError) as error:  # a name that is too long, an unknown home
        raise not_loaded(source, error) from error
    if is_folder:
        return str(path)
    if exists:
        raise InvalidConfigError(
            _EXPECTED, f"{shown(source)} is a file", "Give the folder that holds config.json and model.safetensors"
        )
    try:
        validate_repo_id(source)
    except HFValidationError as error:
        raise InvalidConfigError(
            _EXPECTED,
            f"loading {shown(source)} failed: there is no such folder, and it is no Hub id",
            "Check the path, or give an id such as google-bert/bert-base-uncased",
        ) from error
    return source


def find_file(source: str, name: str, *, revision: str | None = None) -> Path | None:
    """The path of a file of a folder or Hub id, downloaded if needed; None if there is none or it cannot be had.

    Raises:
        InvalidConfigError: if the Hub refuses access, or the revision does not exist.
    """
    try:
        path = cached_file(
            source,
            name,
            revision=revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            _raise_exceptions_for_gated_repo=False,
        )
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise not_loaded(source, error) from error
    return None if path is None else Path(path)


def read_object(source: str, name: str, *, revision: str | None = None) -> dict[str, Any] | None:
    """The JSON object in a file of a model; None if there is no such file.

    Raises:
        InvalidConfigError: if the file holds something else.
    """
    path = find_file(source, name, revision=revision)
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(source, name, f"it is not JSON: {reading_fault(error)}") from error
    if not isinstance(content, dict):
        raise damaged(source, name, f"it holds a {type(content).__name__}, not an object")
    return content


def damaged(source: str, name: str, fault: str, *, remedy: str = "") -> InvalidConfigError:
    """The error for a file of a model that cannot be read."""
    return InvalidConfigError(
        f"{name} of {one_line(source, limit=120)} must be readable",
        one_line(fault, limit=300),
        remedy or "Download the model again, or save it again with save_pretrained",
    )


def not_loaded(source: str, error: Exception | str, *, remedy: str = "") -> InvalidConfigError:
    """The error for a model of which something cannot be loaded."""
    reason = error if isinstance(error, str) else first_line(error)
    name, is_folder = shown(source, limit=120), os.path.isdir(source)  # noqa: PTH112, for it takes any name
    return InvalidConfigError(
        _EXPECTED,
        f"{'' if is_folder else f'there is no folder {name}; '}loading {name}{'' if is_folder else ' from the Hub'} "
        f"failed: {one_line(reason, limit=250)}",
        remedy or f"Check {'the folder' if is_folder else 'the path or id'}, the network and HF_HUB_OFFLINE",
    )
