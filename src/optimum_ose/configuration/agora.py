"""How Agora samples around mistakes."""

from dataclasses import dataclass
from typing import Any, ClassVar

from optimum_ose.configuration.kinds import (
    STRICT,
    Count,
    CountOrZero,
    NotNegative,
    Positive,
    PositiveShare,
    Seed,
    Share,
)
from optimum_ose.configuration.rules import Rule, check


@dataclass(frozen=True, slots=True, kw_only=True)
class AgoraConfig:
    """How Agora samples around the student's mistakes. Ingredients: de Wynter, arXiv:2010.07990; form and radii of
    tau: ours.
    """

    __pydantic_config__: ClassVar[Any] = STRICT

    points_per_mistake: Count = 1
    """New points per mistake and round, >= 1."""
    points_per_row: CountOrZero = 0
    """New points per round near each row of the training and the development set that is no mistake, >= 0. The paper
    studies mistakes alone (0); once the student has learned E by heart, nothing new comes from them."""
    min_distance: NotNegative = 0.1
    """r_min: least distance to the row it was made from, in median nearest-neighbor distances of the training set."""
    max_distance: Positive = 1.0
    """r_max: greatest distance to it, in the same unit."""
    replacement_probability: PositiveShare = 0.15
    """Share of the tokens that one proposal replaces, in (0, 1]."""
    num_neighbors: Count = 10
    """Neighbors in the labeler's embedding space that may replace a token, >= 1."""
    interpolation_share: Share = 0.25
    """Share of the proposals that lie between two rows, of mistakes between two mistakes, instead of being tau's, in
    [0, 1]."""
    max_attempts: Count = 8
    """Proposals per new point before it is given up, >= 1."""
    label_temperature: Positive = 1.0
    """Of the labeler's soft labels, and of the student's answers where it learns from them, > 0."""
    soft_labels: bool = True
    """Teach the labeler's distributions instead of its first choices (`finetune`; texts with one class each)."""
    labeler_share: Share = 0.9
    """With soft labels: share of the labeler's distribution in what training rows teach, beside their given label. A
    trec6 student of 100 rows came to 0.88 of its development rows at 0.9, and to 0.83 at 0.5 (one seed)."""
    minimum_labeler_accuracy: Share = 2 / 3
    """Least accuracy of the labeler on the development set, in [0, 1]. Source: de Wynter, arXiv:2010.07990."""
    epochs_per_round: Count = 1
    """Epochs between two rounds, >= 1; with few training rows an epoch is a few steps."""
    steps_per_round: Count | None = None
    """Optimizer steps between two rounds, >= 1, in place of epochs: for streams, and for trainings that end within an
    epoch. None: `epochs_per_round` counts."""
    initial_round: bool = False
    """Make a round before the first step too, from the mistakes of the student as it comes; the paper trains first."""
    accumulate: bool = True
    """Append the rows of each round to those of the rounds before, as the paper appends them to the training set;
    False: each round's rows replace the last."""
    pool_share: Positive = 0.5
    """Most pool rows added to a batch, in shares of its own rows, > 0."""
    report_test: bool = True
    """Report the accuracy on the third set in each round; False: it is there, and left alone until the end. Where
    `optimize` and `ose run` fine-tune, it is always left alone."""
    betti_numbers: bool = False
    """Report Betti numbers of the training set before Agora and with each round's pool (extra `topology`)."""
    seed: Seed = 0
    """Seed of proposals and of the mixing."""

    def __post_init__(self) -> None:
        check(self, self._combinations)

    def _combinations(self) -> tuple[Rule, ...]:
        distances = (self.min_distance, self.max_distance)
        return ((distances[0] < distances[1], "min_distance must be at least 0 and below max_distance", distances),)
