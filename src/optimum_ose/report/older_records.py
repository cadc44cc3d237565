"""Records of a run that hold other values than a report needs: one message instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optimum_ose.exceptions import OSEError, OutputFolderError
from optimum_ose.wording import one_line

_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError)
"""What formatting raises where a value is missing or of another kind."""


@contextmanager
def reading_records(folder: Path) -> Iterator[None]:
    """Turn what a missing or unfitting value of a record raises into an error that names the folder.

    Raises:
        OutputFolderError: if a record does not hold what this version writes.
    """
    try:
        yield
    except OSEError:
        raise
    except _MALFORMED as error:
        raise OutputFolderError(
            f"The records in {folder / 'ose'} must hold what this version of optimum-ose writes",
            f"a value is missing or of another kind ({type(error).__name__}: {one_line(error, limit=100)})",
            "Measure again with `optimum-cli ose bench`, or restore the records from a copy",
        ) from error
