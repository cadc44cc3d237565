"""One vector per text, made of the vectors of its tokens."""

from typing import Literal

import torch

Pooling = Literal["mean", "first", "last"]


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """The mean of the tokens that are not padding, or the first or last of them, on whichever side the padding is.

    Args:
        states: (batch, tokens, width).
        mask: int64 (batch, tokens), 0 at padding.
        pooling: which of the three.

    Returns:
        (batch, width).
    """
    kept = mask
    if pooling != "mean":
        places = torch.arange(mask.shape[1], device=mask.device) + 1
        chosen = (mask * (places if pooling == "last" else mask.shape[1] + 1 - places)).argmax(-1, keepdim=True)
        kept = places - 1 == chosen
    weights = kept.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
