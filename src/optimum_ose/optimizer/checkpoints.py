"""Owns what a stock Trainer goes on from after a kill: the newest checkpoint that was written whole."""

import json
import shutil
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint


def last_complete_checkpoint(folder: str | None, *, needed: tuple[str, ...] = ()) -> str | None:
    """The newest complete checkpoint in a Trainer's output folder; newer ones, cut off by a kill, are removed.

    A Trainer writes `trainer_state.json` last, so a checkpoint without it, or with half of it, was cut off.

    Args:
        folder: `output_dir` of the Trainer; it need not exist.
        needed: files that callbacks add to a checkpoint.
    """
    while folder is not None and Path(folder).is_dir():
        found: str | None = get_last_checkpoint(folder)
        if found is None or _is_complete(Path(found), needed):
            return found
        shutil.rmtree(found)
    return None


def _is_complete(checkpoint: Path, needed: tuple[str, ...]) -> bool:
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_text())
    except (FileNotFoundError, ValueError, RecursionError):
        return False
    return all((checkpoint / name).is_file() for name in needed)
