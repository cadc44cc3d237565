"""The processes of one launch: how many were started, whether they are connected, and which one prints."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from optimum_ose.exceptions import OSEError, ProcessError
from optimum_ose.wording import shown

_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Number of processes, in the words of torchrun and of the MPI launchers; the first that is set counts."""
_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
_NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets beside WORLD_SIZE, and torch.distributed waits for in vain where it is not set."""
_MOST = {"MASTER_PORT": 65_535}
_CLAIM = "optimum-ose-message"


def launched_processes(environment: Mapping[str, str] | None = None) -> int:
    """Processes that the launcher started; 1 without a launcher.

    Args:
        environment: where the launcher left its facts; None: `os.environ`.

    Raises:
        ProcessError: if the variables of the launcher are no numbers or contradict each other, or if Accelerate's
            launcher was asked for several processes and started one.
    """
    found = os.environ if environment is None else environment
    size, rank = _first(found, _SIZES, least=1), _first(found, _RANKS)
    _whole_number(found, "LOCAL_RANK"), _whole_number(found, "MASTER_PORT")
    if size is None:
        _require_no_hidden_launch(found)
        return 1
    missing = [name for name in _NEEDED if not found.get(name)]
    if size > 1 and found.get("WORLD_SIZE") and missing:
        raise ProcessError(
            "A launcher of several processes must set WORLD_SIZE, RANK, LOCAL_RANK, MASTER_ADDR and MASTER_PORT",
            f"WORLD_SIZE is {size}, and {', '.join(missing)} is not set",
            "Start the processes with torchrun or `accelerate launch`, or unset WORLD_SIZE for a single process",
        )
    if rank is not None and rank >= size:
        raise ProcessError(
            "RANK must be smaller than WORLD_SIZE",
            f"got RANK={rank} and WORLD_SIZE={size}",
            "Start the processes with torchrun or `accelerate launch`, or unset both for a single process",
        )
    return size


def require_single_process(what: str) -> None:
    """Pass in a launch of one process.

    Args:
        what: does not share its work, such as "export".

    Raises:
        ProcessError: if the launcher started several.
    """
    if (started := launched_processes()) > 1:
        raise ProcessError(
            f"Only one process can do this: {what}",
            f"the launcher started {started}",
            "Launch `optimum_ose extract` with several processes, and everything else with one",
        )


def is_first(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this is the process of the launch that shows progress; always without a launcher."""
    found = os.environ if environment is None else environment
    return all(found.get(name, "0") in ("0", "", "-1") for name in _RANKS)


def may_print(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process prints why a launch ended: the first that asks, so that one message is printed, not one for
    each process.

    torchrun gives each launch a folder on each machine, in which the first process leaves a mark. Without that folder
    the process of rank 0 prints.
    """
    found = os.environ if environment is None else environment
    errors = found.get("TORCHELASTIC_ERROR_FILE")
    if not errors:
        return is_first(found)
    try:
        (Path(errors).parent.parent / _CLAIM).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return is_first(found)
    return True


def tell_refusals_once() -> None:
    """Where a launcher started several processes, let an error of ours that nobody caught print one message for the
    launch, instead of one traceback for each process. Other errors are printed as before.

    Called when a public name is used first; without a launcher it does nothing.
    """
    earlier = sys.excepthook
    if getattr(earlier, "__module__", None) == __name__ or not any(
        os.environ.get(name, "").strip() not in {"", "1", "-1"} for name in _SIZES
    ):
        return

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, OSEError):
            earlier(kind, error, trace)
        elif may_print():
            sys.stderr.write(f"optimum-ose: {error}\n")

    sys.excepthook = tell


def _require_no_hidden_launch(found: Mapping[str, str]) -> None:
    if "ACCELERATE_MIXED_PRECISION" in found and found.get("MASTER_ADDR") and found.get("MASTER_PORT"):
        raise ProcessError(
            "`accelerate launch` must start as many processes as it was asked for",
            "it was asked for several and started one, as it does with --cpu",
            "Launch with torchrun, or `ACCELERATE_USE_CPU=true accelerate launch --multi_gpu`, or ask for one process",
        )


def _first(found: Mapping[str, str], names: tuple[str, ...], *, least: int = 0) -> int | None:
    return next((value for name in names if (value := _whole_number(found, name, least=least)) is not None), None)


def _whole_number(found: Mapping[str, str], name: str, *, least: int = 0) -> int | None:
    """The value of a variable; None if it is not set."""
    text = found.get(name, "").strip()
    if not text or text == "-1":  # some scripts say so for "no launcher"
        return None
    most = _MOST.get(name, 1_000_000)
    if not (text.isascii() and text.isdigit() and len(text) < 9 and least <= int(text) <= most):
        raise ProcessError(
            f"The environment variable {name} must be a whole number between {least} and {most:,}",
            f"got {shown(text)}",
            f"Unset {name}, or start the processes with torchrun or `accelerate launch`",
        )
    return int(text)


def num_usable_cores() -> int:
    """Cores that this process may use, at least one."""
    return len(usable_cores())


def usable_cores() -> set[int]:
    """These cores, numbered as the system does."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))
