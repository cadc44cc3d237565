"""Runs a stock Trainer: from its last checkpoint to the end, and what it scores then."""

from typing import Any

from transformers import PrinterCallback, Trainer

from optimum_ose.modeling.health import require_finite_weights
from optimum_ose.optimizer.checkpoints import last_complete_checkpoint
from optimum_ose.optimizer.trainer_arguments import ProgressCallback


def train(trainer: Trainer, *, needed: tuple[str, ...] = ()) -> None:
    """Train from the last checkpoint that holds the needed files, and leave the model in evaluation mode.

    Raises:
        DivergedError: if its weights are no finite numbers then.
    """
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=last_complete_checkpoint(trainer.args.output_dir, needed=needed))
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
