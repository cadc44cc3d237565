"""The pruning of Theta: which hyperparameter sets leave after a round of Agora."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

Pruning = Literal["common-subsequence", "worst", "half"]
"""Which sets leave beside the worst: those that share its longest common subsequence (the paper's), none, or the worse
half (successive halving)."""
_VARIANTS = ("common-subsequence", "worst", "half")


def canonical_order(theta: Sequence[Mapping[str, object]]) -> tuple[Mapping[str, object], ...]:
    """The hyperparameter sets sorted by their (name, value) pairs, so that the caller's order changes no result."""
    return tuple(sorted(theta, key=_pairs))


def prune_hyperparameters(
    theta: Sequence[Mapping[str, object]], accuracies: Sequence[float], *, variant: Pruning = "common-subsequence"
) -> tuple[Mapping[str, object], ...]:
    """The sets that survive a round, best first; always fewer than before.

    The paper states: sort Theta by accuracy, remove the worst set and the sets that share its longest common
    subsequence. Our reading: a set is the sequence of its (name, value) pairs in the order of the names, so that a
    common subsequence of two sets is a group of pairs that both hold. The longest one that the worst set has with
    any other set decides; every set that has one of this length goes, except the best set. When the worst set
    shares nothing with the others, it goes alone. The last remaining set goes too, which ends Agora. The variants are
    ours: "worst" takes the most rounds, |Theta|; "half" the fewest that are known before, about log2 |Theta| + 1.

    Ties in accuracy are broken by the pairs themselves: the order of `theta` changes no result.

    Args:
        theta: |Theta| hyperparameter sets, at least one.
        accuracies: development accuracy of each set, in [0, 1], in the order of `theta`.
        variant: which sets leave.

    Raises:
        InvalidConfigError: if there is no such variant.
        InvalidDataError: if the two lengths differ, there is no set, or an accuracy is not a finite number.

    Source: de Wynter, arXiv:2010.07990.
    """
    if variant not in _VARIANTS:
        raise InvalidConfigError(
            f"pruning must be one of {', '.join(_VARIANTS)}", f"got {variant!r}", "Choose one of these variants"
        )
    if not theta or len(theta) != len(accuracies) or not np.isfinite(accuracies).all():
        raise InvalidDataError(
            "every hyperparameter set needs one finite accuracy",
            f"got {len(theta)} sets and the accuracies {list(accuracies)}",
            "Hand in one accuracy per set, and leave out sets whose training failed",
        )
    ranked = sorted(zip(accuracies, theta, strict=True), key=lambda entry: (-entry[0], _pairs(entry[1])))
    best, *others = (hyperparameters for _, hyperparameters in ranked)
    if not others:
        return ()
    if variant == "half":
        return (best, *others[: len(ranked) // 2 - 1])
    if variant == "worst":
        return (best, *others[:-1])
    worst = others.pop()
    longest = max(_num_shared(worst, other) for other in (best, *others))
    return (best, *(other for other in others if longest == 0 or _num_shared(worst, other) < longest))


def _pairs(hyperparameters: Mapping[str, object]) -> str:
    return repr(sorted(hyperparameters.items(), key=lambda pair: pair[0]))


def _num_shared(one: Mapping[str, object], other: Mapping[str, object]) -> int:
    """Length of the longest common subsequence of the (name, value) pairs, which stand in the order of their names."""
    return sum(name in other and other[name] == value for name, value in one.items())
