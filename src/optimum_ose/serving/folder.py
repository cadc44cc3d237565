"""Files of a model folder, read with bounds: inside the folder only, and of limited size."""

import json
from pathlib import Path, PurePath
from typing import Any

from optimum_ose.exceptions import InvalidConfigError, OutputFolderError
from optimum_ose.wording import one_line, shown

_MAX_JSON_BYTES = 16 * 2**20
_MAX_TOKENIZER_BYTES = 256 * 2**20
_POINTER = b"version https://git-lfs"
"""What stands in a file of a Git repository whose content has not been downloaded."""


def resolve_file(folder: Path, name: str) -> Path:
    """The path of a file of the folder.

    Links may point inside the folder or, in a snapshot of the Hub's cache, to that cache's blobs.

    Args:
        folder: the model folder.
        name: path relative to it.

    Raises:
        OutputFolderError: if the name leaves the folder, or there is no such file, or it cannot be read.
        InvalidConfigError: if the file is a pointer of Git LFS.
    """
    root = _resolved(folder)
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is no such folder"
        raise OutputFolderError(f"{one_line(folder, limit=200)} must be a folder", what, "Check the path")
    roots = [root, root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [root]
    relative = PurePath(name)
    inside = not relative.is_absolute() and ".." not in relative.parts and "\0" not in name
    path = _resolved(root / relative) if inside else root
    if not inside or not any(path.is_relative_to(allowed) for allowed in roots):
        raise OutputFolderError(
            "A model file must lie inside the model folder",
            f"{shown(name)} does not",
            "Name a file such as onnx/model.onnx",
        )
    if not path.is_file():
        raise OutputFolderError(
            f"{folder} must be a model folder with the file {name}",
            "there is none",
            "Give a folder written by `optimum-cli ose export`, or download it first with `hf download`",
        )
    if _read(path, name, len(_POINTER)) == _POINTER:
        raise InvalidConfigError(
            f"{name} must hold the file itself",
            "it is a pointer of Git LFS, which tells where the file is",
            "Download it with `git lfs pull` in the folder, or with `hf download`",
        )
    return path


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of the folder.

    Raises:
        OutputFolderError: if there is no such file.
        InvalidConfigError: if it is too large or not a JSON object.
    """
    content = _read_bounded(resolve_file(folder, name), name, _MAX_JSON_BYTES)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed(name, f"reading it failed: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise _malformed(name, f"it holds a {type(value).__name__}")
    return value


def read_tokenizer(folder: Path) -> str:
    """The text of `tokenizer.json`.

    Raises:
        OutputFolderError: if there is no such file.
        InvalidConfigError: if it is too large or not text.
    """
    name = "tokenizer.json"
    content = _read_bounded(resolve_file(folder, name), name, _MAX_TOKENIZER_BYTES)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _malformed(name, "it is not UTF-8 text") from error


def has_file(folder: Path, name: str) -> bool:
    """Whether the folder has the file, or a link of that name."""
    return _resolved(folder / name).exists() or (folder / name).is_symlink()


def _resolved(path: Path) -> Path:
    """The path without links.

    Raises:
        OutputFolderError: if the system has no such name, as one with a null character or a link to itself.
    """
    try:
        resolved = path.resolve()
        resolved.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(str(path), error) from error
    return resolved


def _read(path: Path, name: str, size: int) -> bytes:
    """The first bytes of a file."""
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise _unreadable(name, error) from error


def _read_bounded(path: Path, name: str, max_bytes: int) -> bytes:
    content = _read(path, name, max_bytes + 1)
    if len(content) > max_bytes:
        raise InvalidConfigError(f"{name} must not exceed {max_bytes:,} bytes", "it does", "Export the model again")
    return content


def _unreadable(name: str, error: Exception) -> OutputFolderError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return OutputFolderError(
        f"{one_line(name, limit=100)} must be readable", f"it is not: {reason}", "Check the name and the permissions"
    )


def _malformed(name: str, actual: str) -> InvalidConfigError:
    return InvalidConfigError(f"{name} must hold a JSON object", actual, "Export the model again")
