"""Inference over token rows: what a classifier answers, batched by length."""

from collections.abc import Iterator, Mapping, Sequence
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
    """Logits of n rows, shape (n, classes), in their order. The model's training flags are as before afterwards."""
    logits = np.empty((len(rows), num_classes(model)), dtype=np.float32)
    with evaluating(model):
        for indices, batch in length_sorted_batches(model, rows, tokenizer=tokenizer, batch_size=batch_size):
            batch.pop("labels", None)
            logits[indices] = model(**batch).logits.float().cpu().numpy()
    return logits


def num_classes(model: PreTrainedModel) -> int:
    """Number of classes of a classifier."""
    return int(model.config.num_labels or 0)


def length_sorted_batches(
    model: PreTrainedModel, rows: Sequence[Mapping[str, Any]], *, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Row indices and padded inputs on the model's device, rows of like length together."""
    pad = DataCollatorWithPadding(tokenizer)
    kept = list(rows)
    order = sorted(range(len(kept)), key=lambda index: len(kept[index]["input_ids"]))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        batch = pad([dict(kept[index]) for index in indices])
        yield indices, {name: tensor.to(model.device) for name, tensor in batch.items()}


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
