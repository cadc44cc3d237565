"""Which measured share of the teacher's score leads to the wanted one: candidates gain from their own distillation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

GAINS: Mapping[str, float] = {"elastic": 0.5, "inherited": 0.35}
"""Method -> what is left of a candidate's lack (1 minus its share of the teacher's score) after its own distillation,
where none was distilled yet. Ours: between 0.2 and 0.5 on two sets, and nearly the same for all sizes on each; see
docs/elastic.md."""
_BOUNDS = (0.1, 1.2)
"""Between which an observed gain is believed."""
_MARGIN = 1 / 3
"""Share of what may be lacking that is kept in reserve: a student that was chosen on development rows does somewhat
worse on others. Ours."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a candidate's score."""

    keep: float
    """Share of the teacher's score that the finished student must keep."""
    least_share: float
    """Share that its measured weights must have."""
    teacher_score: float
    """Of the teacher on the rows that candidates are measured on."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A candidate that was distilled on its own."""

    measured: float
    """Share of the teacher's score that its measured weights have."""
    finished: float
    """Share after its distillation."""


def aimed_share(keep: float) -> float:
    """The share on the development rows that lets `keep` be expected of others."""
    return 1 - (1 - keep) * (1 - _MARGIN)


def first_least_share(keep: float, method: str) -> float:
    """The share that measured weights must have so that the student probably has the share aimed at in the end.

    Args:
        keep: share of the teacher's score that it must keep.
        method: by which candidates were measured.
    """
    return max(1 - (1 - aimed_share(keep)) / GAINS[method], 0.0)


def next_least_share(keep: float, tried: Sequence[Tried]) -> float:
    """The same, from what the candidates that were tried gained; more than any that missed it has.

    Args:
        keep: share of the teacher's score.
        tried: at least one.
    """
    last, aimed = tried[-1], aimed_share(keep)
    left = (1 - last.finished) / max(1 - last.measured, 1e-6)
    gain = min(max(left, _BOUNDS[0]), _BOUNDS[1])
    wanted = 1 - (1 - aimed) / gain
    missed = [one.measured for one in tried if one.finished < aimed]
    return max([wanted, 0.0, *(measured + 1e-6 for measured in missed)])
