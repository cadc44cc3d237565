"""Inference over token rows: what a model answers and how it represents them, batched by length."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.finetuning.pool import Features


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


def num_classes(model: PreTrainedModel) -> int:
    """Number of classes of a classifier."""
    return int(model.config.num_labels or 0)


def predict_logits(
    model: PreTrainedModel, rows: Sequence[Features], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> NDArray[np.float32]:
    """(n, classes) logits of n rows, in their order. The model's training flags are as before afterwards."""
    logits = np.empty((len(rows), num_classes(model)), dtype=np.float32)
    with _evaluating(model):
        for indices, batch in _batches(model, rows, tokenizer=tokenizer, batch_size=batch_size):
            logits[indices] = model(**batch).logits.float().cpu().numpy()
    return logits


def examine(
    labeler: PreTrainedModel, rows: Sequence[Features], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> Answers:
    """Logits and sentence representations of n rows, in their order, in one pass.

    Raises:
        UnsupportedModelError: if the model returns no hidden states under that name (encoder-decoders do not).
    """
    logits, representations = [], []
    order: list[int] = []
    with _evaluating(labeler):
        for indices, batch in _batches(labeler, rows, tokenizer=tokenizer, batch_size=batch_size):
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


def _batches(
    model: PreTrainedModel, rows: Sequence[Features], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Row indices and padded inputs, rows of like length together."""
    pad = DataCollatorWithPadding(tokenizer)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        batch = pad([dict(rows[index]) for index in indices])
        yield indices, {name: tensor.to(model.device) for name, tensor in batch.items()}


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every submodule has its own training flag back."""
    flags = [(module, module.training) for module in model.modules()]
    model.train(False)
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, flag in flags:
            module.training = flag
