"""Training without dropout, as distillation is done."""

from typing import Any, final

from torch.nn.modules.dropout import _DropoutNd
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


@final
class WithoutDropout(TrainerCallback):
    """Switches the dropout modules of a Trainer's model off while it trains.

    A labeler's distribution is its answer to the whole row, and a small student that sees part of it learns less: on
    100 rows of trec6 one came to 0.81 of other rows with dropout and to 0.85 without (one seed).
    """

    def __init__(self) -> None:
        self._probabilities: dict[_DropoutNd, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Switch them off."""
        self._probabilities = {item: item.p for item in kwargs["model"].modules() if isinstance(item, _DropoutNd)}
        for module in self._probabilities:
            module.p = 0.0

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give them their probabilities back."""
        for module, probability in self._probabilities.items():
            module.p = probability
