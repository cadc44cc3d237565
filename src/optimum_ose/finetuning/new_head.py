"""Gives a new head for sets of classes a start from which it learns: where most classes are absent from most rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, Trainer

HEAD_RATE = 10.0
"""Learning rate of a new head for sets of classes, as a multiple of the body's. On 1,450 rows with one to three of
60 intents, 230 steps leave MiniLM at micro-F1 0.00 with one rate for both and a bias of zero, and at 0.73 with
this rate and the bias of `start_at_frequencies`."""


def start_at_frequencies(model: PreTrainedModel, labels: Sequence[Sequence[float]]) -> None:
    """Set the bias of a new head, in place, to the log-odds of the classes' frequencies.

    A head without a bias stays as it is.

    Args:
        model: answers sets of classes.
        labels: vectors of zeros and ones, shape (rows, classes).
    """
    wanted = np.asarray(labels, dtype=np.float64)
    shares = (np.nansum(wanted, axis=0) + 1) / (len(wanted) + 2)
    for name, module in model.named_modules():
        is_output = isinstance(module, torch.nn.Linear) and module.out_features == wanted.shape[1]
        if is_output and _is_head(name, model) and module.bias is not None:
            with torch.no_grad():
                module.bias.copy_(torch.as_tensor(np.log(shares / (1 - shares)), dtype=module.bias.dtype))


def raise_head_rate(trainer: Trainer, factor: float = HEAD_RATE) -> None:
    """Let a Trainer that has not begun train the head at a multiple of the body's learning rate.

    Args:
        trainer: with a model whose head is new.
        factor: by which the rate of its `TrainingArguments` is multiplied for the head.
    """
    trained: Any = trainer
    model = trained.model
    trained.create_optimizer()
    head = {id(weights) for name, weights in model.named_parameters() if _is_head(name, model)}
    groups = []
    for group in trained.optimizer.param_groups:
        parts: dict[bool, list[Any]] = {False: [], True: []}
        for weights in group["params"]:
            parts[id(weights) in head].append(weights)
        for is_head, members in parts.items():
            if members:
                groups.append({**group, "params": members, "lr": group["lr"] * (factor if is_head else 1.0)})
    trained.optimizer.param_groups[:] = groups


def _is_head(name: str, model: PreTrainedModel) -> bool:
    """Whether a module or parameter lies outside the model without its head."""
    prefix = model.base_model_prefix
    return bool(prefix) and hasattr(model, prefix) and name != "" and name.split(".")[0] != prefix
