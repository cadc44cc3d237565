"""Files that other libraries write by path, brought to their final name whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optimum_ose.exceptions import OutputFolderError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if the block ends well, remove it if it raises.

    The temporary name is fixed, so that what a killed process leaves behind is overwritten by the next one.

    Args:
        path: final name. Its folder is created.

    Raises:
        OutputFolderError: if the folder cannot be created or the file cannot be renamed; the old file stays whole.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync(temporary, os.O_RDWR)
            temporary.replace(path)
            if os.name == "posix":  # elsewhere a folder cannot be opened
                sync(path.parent, os.O_RDONLY)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputFolderError(
            f"{path} must be writable",
            f"writing it failed: {error.strerror or error}",
            "Free disk space, or choose a folder that you may write to",
        ) from error


def sync(path: Path, flags: int) -> None:
    """Flush a file, or the directory entry of a rename, to the disk."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
