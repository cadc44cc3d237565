"""When the rounds of Agora come: after so many epochs, or, where epochs do not tell, after so many optimizer steps."""

import math
from dataclasses import dataclass
from typing import Any, final

from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidConfigError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSchedule:
    """When rounds come in one training."""

    num_rounds: int
    """Rounds that will come, without one before the first step."""
    epochs_per_round: int
    """Epochs between two rounds, where `steps_per_round` is None."""
    steps_per_round: int | None
    """Optimizer steps between two rounds; None: rounds end with epochs."""

    def rounds_until(self, state: TrainerState) -> float:
        """How many rounds are due, as a fraction; whole where one has just become due."""
        if self.steps_per_round is not None:
            return state.global_step / self.steps_per_round
        return float(state.epoch or 0) / self.epochs_per_round

    def due(self, state: TrainerState, *, at_epoch_end: bool) -> int | None:
        """The number of the round that is due at the end of an epoch or of a step; None if there is none."""
        rounds = self.rounds_until(state)
        fits = at_epoch_end == (self.steps_per_round is None)
        return int(rounds) if fits and rounds > 0 and rounds.is_integer() else None


def plan_rounds(
    config: AgoraConfig, args: TrainingArguments, *, num_train_rows: int, max_steps: int, loader: Any = None
) -> RoundSchedule:
    """The schedule of a training.

    Args:
        config: says how many epochs or steps a round takes.
        args: of the Trainer.
        num_train_rows: rows of the training set.
        max_steps: optimizer steps of the training.
        loader: of the Trainer; None, or one without a length: an epoch is one pass over `num_train_rows`.

    Raises:
        InvalidConfigError: if no round would ever come, or data loader workers would never see one.
    """
    is_sized = loader is not None and has_length(loader)
    batches = len(loader) if is_sized else math.ceil(num_train_rows / (args.train_batch_size * args.world_size))
    epoch = math.ceil(batches / args.gradient_accumulation_steps)
    steps = config.steps_per_round
    if steps is None and loader is not None and not is_sized:
        steps = config.epochs_per_round * epoch
    if steps is not None and args.dataloader_num_workers > 0:
        raise InvalidConfigError(
            "Rounds inside an epoch need batches that are made in the training process",
            f"dataloader_num_workers={args.dataloader_num_workers}: workers keep the pool of the epoch's beginning",
            "Set dataloader_num_workers=0",
        )
    between = steps if steps is not None else config.epochs_per_round * epoch
    num_rounds = max_steps // between
    if num_rounds == 0 and not config.initial_round:
        raise InvalidConfigError(
            "The training must be long enough for one round of Agora",
            f"a round comes every {between} steps, and the training has {max_steps}",
            f"Set steps_per_round={max(1, max_steps // 3)} in AgoraConfig, or train for more steps",
        )
    return RoundSchedule(num_rounds=num_rounds, epochs_per_round=config.epochs_per_round, steps_per_round=steps)
