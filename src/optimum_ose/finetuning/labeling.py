"""What a labeler says about token rows, and how it represents them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.finetuning.pool import Features
from optimum_ose.modeling.prediction import evaluating, length_sorted_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a classifier says about n rows.

    Args:
        logits: (n, classes).
        representations: (n, width) last hidden state, averaged over the tokens that are not padding.
    """

    logits: NDArray[np.float32]
    representations: NDArray[np.float32]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) most probable class."""
        return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)


def examine(
    labeler: PreTrainedModel, rows: Sequence[Features], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> Answers:
    """Logits and sentence representations of n rows, in their order, in one pass.

    Raises:
        UnsupportedModelError: if the model returns no hidden states under that name (encoder-decoders do not).
    """
    logits, representations = [], []
    order: list[int] = []
    with evaluating(labeler):
        for indices, batch in length_sorted_batches(labeler, rows, tokenizer=tokenizer, batch_size=batch_size):
            answer = labeler(**batch, output_hidden_states=True)
            if getattr(answer, "hidden_states", None) is None:
                raise UnsupportedModelError(
                    "the labeler must return `hidden_states`, from which sentence representations are made",
                    f"{type(labeler).__name__} returns {', '.join(answer)}",
                    "Use an encoder or a decoder with a sequence classification head",
                )
            mask = batch["attention_mask"].unsqueeze(-1).float()
            mean = (answer.hidden_states[-1].float() * mask).sum(dim=1) / mask.sum(dim=1)
            logits.append(answer.logits.float().cpu().numpy())
            representations.append(mean.cpu().numpy())
            order.extend(indices)
    back = np.argsort(order)
    return Answers(logits=np.concatenate(logits)[back], representations=np.concatenate(representations)[back])
