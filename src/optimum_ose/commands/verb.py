"""What every verb shares: its help, its exit codes, and no traceback for a user's mistake."""

import logging
import os
import signal
import sys
from abc import abstractmethod
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from types import FrameType
from typing import ClassVar

from optimum.commands.base import BaseOptimumCLICommand

from optimum_ose.exceptions import OSEError

USER_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143


class Verb(BaseOptimumCLICommand):  # type: ignore[misc]
    """A command that ends with 0, 2 (a user's mistake), 130 (SIGINT) or 143 (SIGTERM)."""

    EXAMPLE: ClassVar[str] = ""

    @classmethod
    def describe(cls, parser: ArgumentParser) -> None:
        """Give a parser the verb's description and example."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.description = (cls.__doc__ or "").strip()
        parser.epilog = f"Example:\n  {cls.EXAMPLE}"

    @abstractmethod
    def execute(self) -> None:
        """Do the work."""

    def run(self) -> None:
        """Do the work and turn what goes wrong into an exit code."""
        # Threads that spin while they wait made training five times slower beside another process.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        signal.signal(signal.SIGTERM, _terminate)
        try:
            self.execute()
        except OSEError as error:
            _fail(str(error), USER_ERROR)
        except OSError as error:
            reason = error.strerror or str(error)
            _fail(
                f"Files must be readable and the disk must have room; {reason}: {error.filename or 'no file named'}. "
                "Mend that and give the same command again: what was finished is kept",
                USER_ERROR,
            )
        except KeyboardInterrupt:
            _fail("interrupted; the same command goes on from here", INTERRUPTED)


def _fail(message: str, code: int) -> None:
    print(f"optimum-ose: {message}", file=sys.stderr)
    raise SystemExit(code)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    print("optimum-ose: terminated; the same command goes on from here", file=sys.stderr)
    raise SystemExit(TERMINATED)
