"""Inference over token rows: what a classifier answers, batched by length."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase


def predict_logits(
    model: PreTrainedModel,
    rows: Sequence[Mapping[str, Any]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """What a model answers to n rows, in their order. Its training flags are as before afterwards.

    Returns:
        Logits, shape (n, classes); of a model that answers each token, those of all tokens, row after row, shape
        (tokens, classes); of a model without a head, the last hidden state averaged over each row's tokens, shape
        (n, width).
    """

    def answer(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        output = model(**batch)
        found = output.logits if "logits" in output else pooled(output.last_hidden_state, batch["attention_mask"])
        return found.float().cpu()

    with evaluating(model):
        return gather_answers(answer, model, rows, tokenizer=tokenizer, batch_size=batch_size)


def gather_answers(
    answer: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    model: PreTrainedModel,
    rows: Sequence[Mapping[str, Any]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int,
) -> NDArray[np.float32]:
    """What a function answers to batches of n rows, in the order of the rows, as `predict_logits` gives it.

    Args:
        answer: of padded inputs, shape (rows, size) or (rows, tokens, size).
        model: on whose device the batches are.
        rows: token rows.
        tokenizer: pads.
        batch_size: rows per batch.
    """
    kept = list(rows)
    answers: list[NDArray[np.float32]] = [np.empty((0, 0), dtype=np.float32)] * len(kept)
    for indices, batch in length_sorted_batches(model, kept, tokenizer=tokenizer, batch_size=batch_size):
        batch.pop("labels", None)
        for index, found, mask in zip(indices, answer(batch), batch["attention_mask"].cpu(), strict=True):
            answers[index] = (found[mask.bool()] if found.ndim > 1 else found[None]).numpy()
    return np.concatenate(answers) if answers else np.empty((0, num_classes(model)), dtype=np.float32)


def pooled(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hidden states averaged over the tokens that are not padding, shape (rows, width)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def num_classes(model: PreTrainedModel) -> int:
    """Number of classes of a classifier."""
    return int(model.config.num_labels or 0)


def length_sorted_batches(
    model: PreTrainedModel, rows: Sequence[Mapping[str, Any]], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Row indices and padded inputs on the model's device, rows of like length together; without labels where a row
    has more than one.
    """
    pad = DataCollatorWithPadding(tokenizer)
    kept = [_padded_columns(row) for row in rows]
    order = sorted(range(len(kept)), key=lambda index: len(kept[index]["input_ids"]))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        batch = pad([dict(kept[index]) for index in indices])
        yield indices, {name: tensor.to(model.device) for name, tensor in batch.items()}


def _padded_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a tokenizer can pad, and labels that need no padding."""
    return {name: value for name, value in row.items() if name != "labels" or not isinstance(value, list)}


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every submodule has its own training flag back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def torch_threads(num_threads: int) -> Iterator[None]:
    """So many intra-op threads in the block; as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
