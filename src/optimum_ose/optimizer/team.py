"""The processes of one launch, sharing the candidates of a search: the first one decides and writes, all train."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, final

import torch
from accelerate.utils import broadcast_object_list, gather_object

from optimum_ose.distillation.candidates import CandidateRun, Measurer
from optimum_ose.distillation.local_process import num_processes, process_state
from optimum_ose.exceptions import OSEError, ProcessError
from optimum_ose.processes import num_usable_cores

_Entry = dict[str, Any]
_Found = TypeVar("_Found")


def is_first_process() -> bool:
    """Whether this process is the one that decides, writes and prints."""
    return bool(process_state().is_main_process)


def wait_for_all() -> None:
    """Go on when all processes of the launch have come here."""
    process_state().wait_for_everyone()


@final
class Team:
    """Measures candidates with all processes of the launch.

    All processes call `share`; only the work of the first one calls `measure`.

    Args:
        trainer: of this process.
    """

    def __init__(self, trainer: Measurer) -> None:
        self._trainer = trainer
        self._num_processes = num_processes()

    def measure(self, runs: Sequence[CandidateRun]) -> list[_Entry]:
        """Journal entries of the first of some runs, one per process.

        Raises:
            ProcessError: if another process failed.
        """
        shared = list(runs[: self._num_processes])
        if self._num_processes == 1:
            return [self._trainer.measure(shared[0])]
        _tell(("train", shared))
        return self._train(shared)

    def share(self, work: Callable[[], _Found]) -> _Found:
        """What `work` finds in the first process, in every process; the others train meanwhile what it hands out.

        Raises:
            OSEError: if the first process stopped with an error.
        """
        if not is_first_process():
            return self._follow()  # type: ignore[no-any-return]
        try:
            found = work()
        except Exception as error:
            self._end(error if isinstance(error, OSEError) else _stopped(0, error))
            raise
        self._end(found)
        return found

    def _follow(self) -> Any:
        while True:
            kind, content = _tell(None)
            if kind == "train":
                self._train(content)
            elif isinstance(content, OSEError):
                raise content
            else:
                return content

    def _end(self, outcome: object) -> None:
        if self._num_processes > 1:
            _tell(("end", outcome))

    def _train(self, runs: Sequence[CandidateRun]) -> list[_Entry]:
        """Train this process's run, and collect what all have found."""
        rank = int(process_state().process_index)
        found: list[_Entry | ProcessError] = []
        if rank < len(runs):
            try:
                found = [self._trainer.measure(runs[rank])]
            except Exception as error:  # noqa: BLE001  (the others wait: they must hear of it)
                found = [_stopped(rank, error)]
        entries: list[_Entry] = []
        for entry in gather_object(found):
            if isinstance(entry, ProcessError):
                raise entry
            entries.append(entry)
        return entries


def _tell(message: object) -> Any:
    """What the first process says, in every process."""
    return broadcast_object_list([message])[0]


def _stopped(rank: int, error: Exception) -> ProcessError:
    return ProcessError(
        "All processes of a launch must come to the end of the search",
        f"process {rank} stopped with {type(error).__name__}: {error}",
        "Fix this and run the command again: what was finished is kept",
    )


def search_threads(wanted: int | None) -> int:
    """Threads of a short distillation.

    Launchers set OMP_NUM_THREADS on their own account; under one, all usable cores are taken, as without it.
    """
    if wanted is not None:
        return wanted
    return torch.get_num_threads() if num_processes() == 1 else num_usable_cores()
