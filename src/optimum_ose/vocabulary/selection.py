"""Chooses the tokens that stay: as few as a coverage needs, or a number of them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.guards import described
from optimum_ose.vocabulary.rules import Rules
from optimum_ose.vocabulary.table import TokenTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tokens that stay."""

    kept: tuple[int, ...]
    """Their ids, in the order of their new ids 0, 1, 2, ..."""
    num_required: int
    """How many of them stay whatever the texts are."""
    coverage: float
    """Share of the tokens in the corpus that stay."""


def keep_coverage(table: TokenTable, rules: Rules, counts: NDArray[np.int64], coverage: float) -> Selection:
    """The most frequent tokens that together are at least a share of all that were counted.

    Args:
        table: all tokens.
        rules: what must stay.
        counts: by id.
        coverage: in (0, 1]; 1: every token that was counted stays.

    Raises:
        InvalidConfigError: if the share is out of range.
    """
    needed = require_coverage(coverage) * int(counts.sum())
    return _chosen(table, rules, counts, lambda _, covered: covered >= needed)


def keep_size(table: TokenTable, rules: Rules, counts: NDArray[np.int64], size: int) -> Selection:
    """The most frequent tokens, as many as asked for. Tokens that were not counted follow by their ids.

    Raises:
        InvalidConfigError: if the number is more than there are, or fewer than must stay.
    """
    require_size(table, rules, size)
    return _chosen(table, rules, counts, lambda number, _: number >= size, size=size)


def require_coverage(coverage: float) -> float:
    """A share above 0 and at most 1.

    Raises:
        InvalidConfigError: if it is none.
    """
    if isinstance(coverage, bool) or not isinstance(coverage, int | float) or not 0 < coverage <= 1:
        raise InvalidConfigError(
            "The coverage to keep must be a number above 0 and at most 1",
            f"got {described(coverage)}",
            "Give 0.999, or 1 for all tokens of the corpus",
        )
    return float(coverage)


def require_size(table: TokenTable, rules: Rules, size: int) -> None:
    """Pass if a vocabulary can have so many tokens.

    Raises:
        InvalidConfigError: if the number is more than there are, or fewer than must stay.
    """
    if size > len(table.tokens):
        raise InvalidConfigError(
            "A smaller vocabulary must have at most as many tokens as the whole",
            f"got {size:,}; the whole has {len(table.tokens):,}",
            "Ask for fewer",
        )
    least = len(_closed(rules.required, rules))
    if size < least:
        raise InvalidConfigError(
            f"The vocabulary must keep at least {least:,} tokens: added and special tokens, single characters or "
            "bytes, and tokens that cannot be written with them",
            f"got {size:,}",
            f"Ask for {least:,} or more",
        )


def with_id_at_its_place(kept: Sequence[int], index: int) -> tuple[int, ...]:
    """The same tokens in an order in which one of them keeps its id.

    Args:
        kept: old ids, in the order of the new ones.
        index: one of them.

    Raises:
        UnsupportedModelError: if there are too few tokens for that.
    """
    others = [item for item in kept if item != index]
    if index > len(others):
        raise UnsupportedModelError(
            "The padding token must keep its id where positions are numbered from it",
            f"its id is {index:,}, and {len(kept):,} tokens stay",
            "Keep more tokens",
        )
    return (*others[:index], index, *others[index:])


def _chosen(
    table: TokenTable,
    rules: Rules,
    counts: NDArray[np.int64],
    is_enough: Callable[[int, int], bool],
    *,
    size: int | None = None,
) -> Selection:
    kept = _closed(rules.required, rules)
    num_required = len(kept)
    covered = int(counts[sorted(kept)].sum())
    by_frequency = sorted(table.tokens, key=lambda index: (-counts[index], index))
    for index in by_frequency:
        if is_enough(len(kept), covered):
            break
        new = _closed({index}, rules) - kept
        if size is None or len(kept) + len(new) <= size:
            kept |= new
            covered += int(counts[sorted(new)].sum())
    return Selection(
        kept=_ordered(table, kept), num_required=num_required, coverage=covered / max(1, int(counts.sum()))
    )


def _closed(ids: Collection[int], rules: Rules) -> set[int]:
    return set(ids).union(*(rules.parts(index) for index in ids))


def _ordered(table: TokenTable, kept: Collection[int]) -> tuple[int, ...]:
    """In the order of the ids; tokens that stand outside of the model part come last, as tokenizers numbers them."""
    inner = set(table.vocabulary.values())
    return tuple(sorted(kept, key=lambda index: (index not in inner, index)))
