"""How a sentence encoder makes the one vector of a text of its tokens' vectors."""

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch.nn import functional as F
from transformers import PretrainedConfig

Pooling = Literal["mean", "first", "last"]
"""Which of a text's tokens its vector is made of."""
MODES: tuple[Pooling, ...] = ("mean", "first", "last")
"""All of them."""
_MODE, _NORMALIZES = "sentence_pooling", "sentence_normalize"
"""Names in a model's config, which students take over from their teacher."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePooling:
    """How the vector of a text is made."""

    mode: Pooling = "mean"
    """The mean of its tokens' vectors, or that of the first or last token."""
    normalizes: bool = False
    """Whether it is scaled to length 1."""

    def __call__(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The vectors of texts, shape (batch, width).

        Args:
            states: hidden states, shape (batch, tokens, width).
            mask: 1 at tokens, 0 at padding, on whichever side it is, shape (batch, tokens).
        """
        found = pool(states, mask, self.mode)
        return F.normalize(found, dim=-1) if self.normalizes else found


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


def set_pooling(config: PretrainedConfig, pooling: SentencePooling) -> None:
    """Let the config of an encoder, in place, say how the vector of a text is made."""
    attributes: Any = config
    attributes.sentence_pooling, attributes.sentence_normalize = pooling.mode, pooling.normalizes


def known_pooling(config: PretrainedConfig) -> SentencePooling | None:
    """What the config of an encoder says of the vector of a text; None: nothing."""
    mode = getattr(config, _MODE, None)
    if mode not in MODES:
        return None
    return SentencePooling(mode=mode, normalizes=bool(getattr(config, _NORMALIZES, False)))


def pooling_of(config: PretrainedConfig) -> SentencePooling:
    """The same; the mean where the config says nothing."""
    return known_pooling(config) or SentencePooling()
