"""How the elastic student of a search is trained and measured."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from optimum_ose.configuration.kinds import STRICT, Count, CountOrZero, PositiveShare, Share
from optimum_ose.configuration.rules import check


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticSetting:
    """How the shared weights are trained of which every candidate is a view; used with the method `elastic` only.

    The losses are those of `DistillationConfig`'s defaults.
    """

    __pydantic_config__: ClassVar[Any] = STRICT

    num_steps: CountOrZero = 600
    """Optimizer steps, >= 0. Each trains the largest candidate, the smallest, and some drawn at random."""
    num_random_views: CountOrZero = 2
    """Candidates drawn at random for each step, >= 0."""
    batch_size: Count = 32
    """Rows per step and process, >= 1."""
    learning_rate: PositiveShare = 1e-3
    """Peak learning rate of AdamW, > 0. On the demo's data 300 steps gave 18 candidates a mean development accuracy of
    0.693 at 1e-3 and 0.684 at 2e-3 (one seed)."""
    warmup_ratio: Share = 0.02
    """Share of the steps with a rising learning rate; then it falls linearly to zero. In [0, 1]."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of forward and backward passes."""
    checkpoint_steps: Count = 100
    """Steps between two checkpoints, >= 1."""
    max_measured: Count = 512
    """With more candidates than this, the certified search chooses so many to be measured, >= 1."""

    def __post_init__(self) -> None:
        check(self)
