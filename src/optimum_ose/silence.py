"""Standard streams closed to native code that writes what nobody asked for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


@contextmanager
def native_silence(stream: int) -> Iterator[None]:
    """Discard what native code of this process writes to a standard stream during the block.

    PyTorch's exporter, in C++, writes the whole graph to standard output when it fails, whatever its settings;
    libraries in Rust write where they panicked to standard error, before Python hears of it.

    Args:
        stream: `STANDARD_OUTPUT` or `STANDARD_ERROR`.
    """
    (sys.stdout if stream == STANDARD_OUTPUT else sys.stderr).flush()
    try:
        kept = os.dup(stream)
    except OSError:  # closed already, as in a service
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream)
        yield
    finally:
        os.dup2(kept, stream)
        os.close(kept)
