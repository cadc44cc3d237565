"""Which measured share of the teacher's score leads to the wanted one: candidates gain from their own distillation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

GAINS: Mapping[str, float] = {"elastic": 0.5, "inherited": 0.35}
"""Method -> what is left of a candidate's lack (1 minus its share of the teacher's score) after its own distillation,
where none was distilled yet. Ours, between what was seen on two sets; see docs/elastic.md."""
_BOUNDS = (0.1, 1.2)
"""Between which an observed gain is believed."""


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


def first_least_share(keep: float, method: str) -> float:
    """The share that measured weights must have so that the student probably keeps `keep` in the end.

    Args:
        keep: share of the teacher's score that it must keep.
        method: by which candidates were measured.
    """
    return max(1 - (1 - keep) / GAINS[method], 0.0)


def next_least_share(keep: float, tried: Sequence[Tried]) -> float:
    """The same, from what the candidates that were tried gained; more than any that missed it has.

    Args:
        keep: share of the teacher's score.
        tried: at least one.
    """
    last = tried[-1]
    left = (1 - last.finished) / max(1 - last.measured, 1e-6)
    gain = min(max(left, _BOUNDS[0]), _BOUNDS[1])
    wanted = 1 - (1 - keep) / gain
    missed = [one.measured for one in tried if one.finished < keep]
    return max([wanted, 0.0, *(measured + 1e-6 for measured in missed)])
