"""Standard output closed to native code that writes what nobody asked for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STANDARD_OUTPUT = 1


@contextmanager
def native_silence() -> Iterator[None]:
    """Discard what C++ code of this process writes to standard output during the block.

    PyTorch's exporter writes the whole graph there when it fails, whatever its settings.
    """
    sys.stdout.flush()
    try:
        kept = os.dup(_STANDARD_OUTPUT)
    except OSError:  # closed already, as in a service
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), _STANDARD_OUTPUT)
        yield
    finally:
        os.dup2(kept, _STANDARD_OUTPUT)
        os.close(kept)
