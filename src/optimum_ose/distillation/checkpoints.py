"""Owns the states of a distillation on the disk: each whole or absent, the newest kept."""

import shutil
from pathlib import Path

from accelerate import Accelerator

from optimum_ose.exceptions import OutputFolderError
from optimum_ose.output_folder import writing


def save(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Write the whole state under a temporary name, rename it, then drop older ones.

    Raises:
        OutputFolderError: if it cannot be written; nothing is left of it.
    """
    final = folder / f"step-{step:08d}"
    temporary = folder / f".{final.name}.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
    accelerator.wait_for_everyone()
    try:
        with writing(folder):
            accelerator.save_state(str(temporary))
    except OutputFolderError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        older = _finished(folder)
        temporary.rename(final)
        for path in older:
            shutil.rmtree(path)


def load_latest(accelerator: Accelerator, folder: Path | None) -> int:
    """Go back to the newest whole state and return its step; 0 if there is none."""
    finished = _finished(folder) if folder is not None else []
    if not finished:
        return 0
    accelerator.load_state(str(finished[-1]))
    return int(finished[-1].name.removeprefix("step-"))


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.is_dir() else []
