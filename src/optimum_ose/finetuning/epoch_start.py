"""Keeps with each checkpoint the random state in which its epoch began: the order of rows may hang on it."""

from pathlib import Path
from typing import Any, final

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from optimum_ose.serialization import write_atomic

EPOCH_START_FILE = "epoch_start_rng.bin"


@final
class EpochStart(TrainerCallback):
    """Lets a run that is resumed inside an epoch see the rows of that epoch in the order of an undisturbed one.

    Trainer draws the order of rows grouped by length from torch's global generator when an epoch begins. It restores
    that generator only after the rows before the checkpoint were skipped, so that from the second epoch on the rest of
    the epoch would be another one. The state at the beginning of the epoch is saved in each checkpoint.
    """

    def __init__(self) -> None:
        self._state = torch.get_rng_state()
        self._resumed: torch.Tensor | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Read the state that a checkpoint holds."""
        folders = (Path(args.resume_from_checkpoint or ""), checkpoint_folder(args, state))
        found = [folder / EPOCH_START_FILE for folder in folders if (folder / EPOCH_START_FILE).is_file()]
        self._resumed = None
        if state.global_step and found:
            content = bytearray(found[0].read_bytes())
            if len(content) == len(torch.get_rng_state()):
                self._resumed = torch.frombuffer(content, dtype=torch.uint8)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the epoch of a checkpoint as it began before; remember how an epoch begins."""
        is_inside = not float(state.epoch or 0).is_integer()
        if self._resumed is not None and is_inside:
            torch.set_rng_state(self._resumed)
        self._resumed, self._state = None, torch.get_rng_state()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the state into the checkpoint, whole or not at all."""
        folder = checkpoint_folder(args, state)
        if state.is_world_process_zero and folder.is_dir():
            write_atomic(folder / EPOCH_START_FILE, self._state.numpy().tobytes())


def checkpoint_folder(args: TrainingArguments, state: TrainerState) -> Path:
    """Where a Trainer keeps the checkpoint of the step that it is at."""
    return Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"
