"""The loss of batches whose labels are distributions, as Trainer's `compute_loss_func`."""

from typing import Any

import torch


def soft_cross_entropy(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None, *, temperature: float = 1.0
) -> torch.Tensor:
    """Cross-entropy to the labels: (rows, classes) distributions, or (rows,) class indices.

    Args:
        outputs: of the model; its `logits` are (rows, classes).
        labels: either kind.
        num_items_in_batch: what Trainer counts over accumulated batches and processes: labels, or entries of the
            distributions. None: the mean over this batch.
        temperature: of the distributions. The logits are divided by it too, the loss is multiplied by its square: that
            keeps the size of its gradients (Hinton et al., arXiv:1503.02531).
    """
    logits: torch.Tensor = outputs["logits"].float()
    num_items = labels.numel() if num_items_in_batch is None else num_items_in_batch
    if not labels.is_floating_point():
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum") / num_items
    loss = torch.nn.functional.cross_entropy(logits / temperature, labels, reduction="sum")
    return temperature**2 * loss * labels.shape[-1] / num_items
