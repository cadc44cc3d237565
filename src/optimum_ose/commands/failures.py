"""What a user is told when the machine refuses something, and when something fails that nobody foresaw."""

import errno
import os
import re
import socket
import sys
import tempfile
import traceback
from types import MappingProxyType, TracebackType

from optimum_ose.exceptions import OSEError
from optimum_ose.wording import one_line

_AGAIN = "run the command again: finished work is kept"
_BY_NUMBER = MappingProxyType(
    {
        **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ("The disk must have room", f"Free some space and {_AGAIN}")),
        **dict.fromkeys(
            (errno.EACCES, errno.EPERM, errno.EROFS),
            ("Files must be open to this user", f"Change the rights or choose another place, and {_AGAIN}"),
        ),
        errno.ENOENT: ("Files that a command names must exist", f"Check the path and {_AGAIN}"),
        errno.ENOTDIR: (
            "Each part of a path but the last must be a folder",
            "Check the path and run the command again",
        ),
        errno.EISDIR: ("A file must not be a folder", "Check the path and run the command again"),
        errno.ENAMETOOLONG: ("Names of files must be short enough", "Choose a shorter name"),
        errno.EADDRINUSE: ("The address must be free", "Choose another port, or stop the program that listens there"),
        errno.EADDRNOTAVAIL: ("The address must be one of this machine", "Choose another host"),
        **dict.fromkeys(
            (errno.EMFILE, errno.ENFILE), ("Few enough files must be open", f"Raise ulimit -n and {_AGAIN}")
        ),
    }
)
"""Number of an error -> what must hold, what to do."""
_MEMORY = ("The work must fit into memory", f"Free memory, or set smaller batches and shorter texts, and {_AGAIN}")
_RUST_NUMBER = re.compile(r"\(os error (\d+)\)")
_TORCH_WRITER = re.compile(r"inline_container|PytorchStreamWriter failed")
_OUT_OF_MEMORY = re.compile(r"can't allocate memory|out of memory|bad_alloc", re.IGNORECASE)


def machine_refusal(error: BaseException) -> OSEError | None:
    """The message for an error that disk, memory, rights or network caused; None for any other error.

    Args:
        error: of Python, or of a library that passes the system's errors on in its own words.
    """
    text = str(error)
    if isinstance(error, OSEError):
        return error
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(text)):
        return OSEError(_MEMORY[0], text or "an allocation failed", _MEMORY[1])
    if isinstance(error, socket.gaierror):
        return OSEError("The host must be known", f"{error.strerror}", "Check the host's name and the network")
    number = getattr(error, "errno", None) if isinstance(error, OSError) else None
    if number is None and (found := _RUST_NUMBER.search(text)):
        number = int(found[1])
    if number is None and _TORCH_WRITER.search(text):
        number = errno.ENOSPC
    if number is not None:
        return _system_refusal(error, number)
    if isinstance(error, OSError):
        return OSEError(
            "Files and the network must be within reach", text or type(error).__name__, f"Check both and {_AGAIN}"
        )
    return None


def _system_refusal(error: BaseException, number: int) -> OSEError:
    expected, remedy = _BY_NUMBER.get(number, ("The system must allow what a command does", f"Fix this and {_AGAIN}"))
    names = [getattr(error, name, None) for name in ("filename", "filename2")]
    files = ", ".join(os.fsdecode(name) for name in names if isinstance(name, str | bytes | os.PathLike))
    return OSEError(expected, f"{os.strerror(number)}{': ' if files else ''}{files}", remedy)


def tell_unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one short message for an error that nobody foresaw, in place of the traceback, which goes to a file.

    Fits `sys.excepthook`. `OSE_TRACEBACK=1` prints the traceback too.
    """
    whole = "".join(traceback.format_exception(kind, error, trace))
    if os.environ.get("OSE_TRACEBACK", "0") not in {"", "0"}:
        print(whole, file=sys.stderr)
    first = next(iter(str(error).strip().splitlines()), "")
    print(
        f"optimum-ose: an unexpected error: {kind.__name__}: {one_line(first, limit=300)}. "
        f"{_written(whole)} Please report it. Finished work is kept",
        file=sys.stderr,
    )


def _written(whole: str) -> str:
    try:
        handle, name = tempfile.mkstemp(prefix="optimum-ose-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(whole)
    except OSError:
        return "OSE_TRACEBACK=1 prints where it happened."
    return f"Where it happened is in {name} (OSE_TRACEBACK=1 prints it)."
