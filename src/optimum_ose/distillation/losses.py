"""How far a student's inner states are from its teacher's, as functions of tensors."""

import math

import torch
from torch.nn import functional as F

_LEAST_PROBABILITY = 1e-12
_EXCLUDED = -1e9
"""Score of a token that is padding, before the softmax."""


def hidden_mismatch(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared distance of hidden states over the teacher's own variance, mean over tokens that are not padding.

    Args:
        student: projected hidden states, shape (rows, tokens, teacher width).
        teacher: hidden states, shape (rows, tokens, teacher width).
        mask: 1 where a token is real, shape (rows, tokens).
    """
    kept = mask.bool()
    found, target = student[kept], teacher[kept]
    return F.mse_loss(found, target) / target.var(correction=0).clamp_min(1e-6)


def relation_mismatch(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of how the tokens of a row relate to each other, mean over tokens that are not padding.

    A token's relations are the softmax over the row's real tokens of its scaled dot products with them. The widths may
    differ, so no projection is needed.

    Args:
        student: hidden states, shape (rows, tokens, student width).
        teacher: hidden states, shape (rows, tokens, teacher width).
        mask: 1 where a token is real, shape (rows, tokens).

    Source: Wang et al., arXiv:2012.15828 (there of queries, keys and values, by relation heads; here of hidden states).
    """
    real = mask.bool()
    return _masked_divergence(_relations(student, real), _relations(teacher, real), real)


def attention_mismatch(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of where each token looks, mean over tokens that are not padding. Heads are averaged first,
    for their numbers may differ.

    Args:
        student: attention probabilities, shape (rows, student heads, tokens, tokens).
        teacher: attention probabilities, shape (rows, teacher heads, tokens, tokens).
        mask: 1 where a token is real, shape (rows, tokens).

    Source: the last layer's attention transfer of Wang et al., arXiv:2002.10957; the mean over heads is ours.
    """
    real = mask.bool()
    found, target = (torch.log(value.mean(dim=1).clamp_min(_LEAST_PROBABILITY)) for value in (student, teacher))
    return _masked_divergence(found, target, real)


def _relations(states: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Log-softmax of scaled dot products over real tokens, shape (rows, tokens, tokens)."""
    products = states @ states.transpose(1, 2) / math.sqrt(states.shape[-1])
    return F.log_softmax(products.masked_fill(~real[:, None, :], _EXCLUDED), dim=-1)


def _masked_divergence(student: torch.Tensor, teacher: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of log-probabilities over real tokens, mean over real tokens."""
    terms = F.kl_div(student, teacher, reduction="none", log_target=True).masked_fill(~real[:, None, :], 0.0)
    return terms.sum(-1)[real].mean()
