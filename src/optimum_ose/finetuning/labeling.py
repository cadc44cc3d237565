"""What a labeler says about token rows, and how it represents them; one label per row, or one per token."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.finetuning.pool import IGNORED_LABEL, Features, Label
from optimum_ose.modeling.prediction import evaluating, length_sorted_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a classifier says about n rows.

    Args:
        logits: one array per row: (classes,), or (tokens, classes) in token classification.
        representations: (n, width) last hidden state, averaged over the tokens that are not padding.
    """

    logits: Sequence[NDArray[np.float32]]
    representations: NDArray[np.float32]


def answers_per_token(model: PreTrainedModel) -> bool:
    """Whether a classifier answers once per token; by the name that Transformers gives such classes."""
    return type(model).__name__.endswith("ForTokenClassification")


def answer(
    model: PreTrainedModel, rows: Sequence[Features], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> list[NDArray[np.float32]]:
    """Logits of n rows, in their order, each without its padding."""
    found: dict[int, NDArray[np.float32]] = {}
    with evaluating(model):
        for indices, batch in length_sorted_batches(model, rows, tokenizer=tokenizer, batch_size=batch_size):
            logits = model(**batch).logits
            found.update(zip(indices, _unpadded(logits, indices, rows, tokenizer), strict=True))
    return [found[index] for index in range(len(rows))]


def examine(
    labeler: PreTrainedModel, rows: Sequence[Features], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> Answers:
    """Logits and sentence representations of n rows, in their order, in one pass.

    Raises:
        UnsupportedModelError: if the model returns no hidden states under that name (encoder-decoders do not).
    """
    logits: dict[int, NDArray[np.float32]] = {}
    representations: dict[int, NDArray[np.float32]] = {}
    with evaluating(labeler):
        for indices, batch in length_sorted_batches(labeler, rows, tokenizer=tokenizer, batch_size=batch_size):
            found = labeler(**batch, output_hidden_states=True)
            logits.update(zip(indices, _unpadded(found.logits, indices, rows, tokenizer), strict=True))
            representations.update(zip(indices, _mean_state(labeler, found, batch["attention_mask"]), strict=True))
    order = range(len(rows))
    return Answers(
        logits=[logits[index] for index in order],
        representations=np.array([representations[index] for index in order], dtype=np.float32),
    )


def label_of(logits: NDArray[np.float32], template: Label) -> Label:
    """The most probable class; in token classification one per token that bears a label in the template."""
    if isinstance(template, int):
        return int(logits.argmax())
    classes = np.where(np.array(template) == IGNORED_LABEL, IGNORED_LABEL, logits.argmax(axis=-1))
    return tuple(int(label) for label in classes)


def agreement(one: Label, other: Label) -> NDArray[np.bool_]:
    """Which labels of one row are those of the other: one entry, or one per token that bears a label in `other`."""
    first, second = np.atleast_1d(np.array(one)), np.atleast_1d(np.array(other))
    return np.asarray((first == second)[second != IGNORED_LABEL], dtype=np.bool_)


def flat_labels(labels: Iterable[Label]) -> NDArray[np.int64]:
    """All labels that are not ignored, one after the other."""
    found = np.concatenate([np.atleast_1d(np.array(label, dtype=np.int64)) for label in labels])
    return np.asarray(found[found != IGNORED_LABEL], dtype=np.int64)


def _mean_state(labeler: PreTrainedModel, found: Any, mask: torch.Tensor) -> NDArray[np.float32]:
    if getattr(found, "hidden_states", None) is None:
        raise UnsupportedModelError(
            "the labeler must return `hidden_states`, from which sentence representations are made",
            f"{type(labeler).__name__} returns {', '.join(found)}",
            "Use an encoder or a decoder with a classification head",
        )
    weights = mask.unsqueeze(-1).float()
    mean = (found.hidden_states[-1].float() * weights).sum(dim=1) / weights.sum(dim=1)
    return np.asarray(mean.cpu().numpy(), dtype=np.float32)


def _unpadded(
    logits: torch.Tensor, indices: Sequence[int], rows: Sequence[Features], tokenizer: PreTrainedTokenizerBase
) -> Iterator[NDArray[np.float32]]:
    for index, of_row in zip(indices, logits.float().cpu().numpy(), strict=True):
        length = len(rows[index]["input_ids"])
        if of_row.ndim == 1:
            yield of_row
        else:
            yield of_row[-length:] if tokenizer.padding_side == "left" else of_row[:length]
