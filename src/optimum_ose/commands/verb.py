"""What every verb shares: its help, its exit codes, and no traceback for a user's mistake."""

import logging
import os
import sys
from abc import abstractmethod
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import ClassVar

from optimum.commands.base import BaseOptimumCLICommand
from safetensors import SafetensorError

from optimum_ose.commands.failures import machine_refusal, tell_unforeseen
from optimum_ose.commands.signals import TERMINATED, Terminated, lasting_signals
from optimum_ose.exceptions import OSEError
from optimum_ose.processes import may_print, require_single_process
from optimum_ose.wording import let_output_escape

USER_ERROR = 2
INTERRUPTED = 130
CLOSED_PIPE = 141


class Verb(BaseOptimumCLICommand):  # type: ignore[misc]
    """A command that ends with 0, 2 (a user's mistake, or a limit of the machine), 130 (SIGINT), 141 (nobody reads its
    output any more) or 143 (SIGTERM); with 1 after an error that nobody foresaw.
    """

    EXAMPLE: ClassVar[str] = ""
    SHARES_WORK: ClassVar[bool] = False
    """Whether several processes of one launch do this together."""

    @classmethod
    def describe(cls, parser: ArgumentParser) -> None:
        """Give a parser the verb's description and example."""
        parser.usage = "%(prog)s [options]"
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
        let_output_escape()
        sys.excepthook = tell_unforeseen
        try:
            with lasting_signals():
                if not self.SHARES_WORK:
                    require_single_process(type(self).__name__.removesuffix("Command").lower())
                self.execute()
                sys.stdout.flush()
        except Terminated:
            _fail("terminated; run the same command again to resume", TERMINATED)
        except BrokenPipeError:
            _leave_closed_pipe()
        except (OSError, MemoryError, RuntimeError, SafetensorError, OSEError) as error:
            refusal = machine_refusal(error)
            if refusal is None:
                raise
            _fail(str(refusal), USER_ERROR)
        except KeyboardInterrupt:
            _fail("interrupted; run the same command again to resume", INTERRUPTED)


def _leave_closed_pipe() -> None:
    """End quietly where nobody reads the output any more (`| head`), as other commands do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(CLOSED_PIPE)


def _fail(message: str, code: int) -> None:
    if may_print():  # one process of a launch tells
        print(f"optimum-ose: {message}", file=sys.stderr)
    raise SystemExit(code)
