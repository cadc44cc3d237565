"""Runs a stock Trainer: from its last checkpoint to the end, and what it scores then."""

from pathlib import Path
from typing import Any

from transformers import PrinterCallback, Trainer

from optimum_ose.exceptions import OutputFolderError
from optimum_ose.finetuning.epoch_start import EPOCH_START_FILE
from optimum_ose.modeling.health import require_finite_weights
from optimum_ose.optimizer.checkpoints import last_complete_checkpoint
from optimum_ose.optimizer.trainer_arguments import ProgressCallback
from optimum_ose.output_folder import writing


def train(trainer: Trainer, *, needed: tuple[str, ...] = ()) -> None:
    """Train from the last checkpoint that holds the needed files, and leave the model in evaluation mode.

    Args:
        trainer: of `build_trainer`.
        needed: files that callbacks add to a checkpoint, beside those of each training.

    Raises:
        DivergedError: if its weights are no finite numbers then.
        OutputFolderError: if a checkpoint cannot be written.
    """
    trainer.remove_callback(PrinterCallback)
    folder, needed = str(trainer.args.output_dir), (EPOCH_START_FILE, *needed)
    try:
        with writing(Path(folder)):
            trainer.train(resume_from_checkpoint=last_complete_checkpoint(folder, needed=needed))
    except OutputFolderError:
        last_complete_checkpoint(folder, needed=needed)  # removes what was half written
        raise
    finally:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressCallback):
                callback.close()
    model: Any = trainer.model
    model.eval()
    require_finite_weights(model, "after fine-tuning", "learning_rate of the training arguments")


def scores(trainer: Any) -> dict[str, float]:
    """A Trainer's scores on its development rows, by metric name."""
    clock = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
    other = {"eval_loss", "eval_model_preparation_time", "epoch", *clock}
    return {name.removeprefix("eval_"): float(value) for name, value in trainer.evaluate().items() if name not in other}
