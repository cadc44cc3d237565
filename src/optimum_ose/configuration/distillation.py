"""How a student learns from its teacher."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

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
class DistillationConfig:
    """How a student learns from its teacher.

    Defaults for temperature, warm-up, weight decay and clipping: the released Bort recipe (github.com/alexa/bort).
    Learning rate and loss weights: ours, for students that inherit weights.
    """

    __pydantic_config__: ClassVar[Any] = STRICT

    num_steps: CountOrZero = 2_000
    """Optimizer steps, >= 0."""
    batch_size: Count = 32
    """Rows per step and process, >= 1."""
    learning_rate: PositiveShare | None = None
    """Peak learning rate of AdamW, > 0; None: the task's, 3e-4 or what docs/tasks.md says. Students that inherit start
    near their teacher: at 1e-3, 2000 steps took a trec6 student of 5 layers from 0.89 of its development rows right to
    0.86; 300 steps at 3e-4 took it to 0.92 (one seed). Narrow students and students from scratch want more."""
    warmup_ratio: Share = 0.01
    """Share of the steps with a rising learning rate; then it falls linearly to zero. In [0, 1]."""
    weight_decay: NotNegative = 0.01
    """Of every tensor but biases and norms, >= 0."""
    max_grad_norm: Positive = 1.0
    """Gradient clipping, > 0."""
    temperature: Positive = 2.0
    """Of the softened distributions, > 0."""
    logits_weight: NotNegative = 1.0
    """Weight of T^2 KL(teacher, student), >= 0."""
    rare_class_weight: NotNegative = 10.0
    """Token classification: a token's divergence counts once, and so many times the probability that the teacher gives
    to other classes than the batch's commonest, >= 0. Most tokens belong to no name; counted evenly, they take a small
    student's capacity, and it finds fewer names."""
    labels_weight: NotNegative = 0.1
    """Weight of the loss to the labels, of rows that have one, >= 0."""
    hidden_weight: NotNegative = 0.0
    """Weight of the hidden-state match, >= 0; zero by default, for it cost accuracy at equal steps in our runs."""
    relation_weight: NotNegative = 0.0
    """Weight of the match of token relations in the last hidden states, which needs no projection, >= 0."""
    attention_weight: NotNegative = 0.0
    """Weight of the match of attention maps, layer by layer, >= 0; needs models with eager attention."""
    num_augmented_copies: CountOrZero = 0
    """Copies of each row of text in which words give way to their neighbors in the teacher's embedding space, >= 0. The
    teacher answers them anew, so they need no label; the words of pairs that both texts share stay shared. Which words
    are replaced does not depend on `seed`: the same rows have the same copies. Source of the idea: TinyBERT,
    arXiv:1909.10351, which takes proposals of BERT and neighbors in GloVe."""
    replacement_probability: PositiveShare = 0.4
    """Share of a copy's words that are replaced, in (0, 1]."""
    gradient_accumulation_steps: Count = 1
    """Batches per optimizer step, >= 1."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of forward and backward passes."""
    log_with: tuple[str, ...] = ()
    """Trackers, in Accelerate's words ("tensorboard", "wandb", ...), that hear of each step's loss."""
    checkpoint_steps: Count = 200
    """Steps between two checkpoints, >= 1."""
    seed: Seed = 0
    """Seed of batches, dropout and projections."""

    @classmethod
    def bort(cls, *, num_steps: int = 2_000, batch_size: int = 32, seed: int = 0) -> "DistillationConfig":
        """The released recipe of Bort: 0.1 times the loss to the labels plus 0.5 times T^2 KL at T = 2, AdamW at 1e-4
        with a warm-up of 1%. There it is pre-training on text: labels are the masked words, and answers are compared
        at masked positions, as `distill` does for the task fill-mask.

        Source: github.com/alexa/bort, without the second softmax that it applies to the student.
        """
        return cls(
            num_steps=num_steps,
            batch_size=batch_size,
            seed=seed,
            learning_rate=1e-4,
            warmup_ratio=0.01,
            weight_decay=0.01,
            max_grad_norm=1.0,
            temperature=2.0,
            logits_weight=0.5,
            rare_class_weight=0.0,
            labels_weight=0.1,
        )

    def __post_init__(self) -> None:
        check(self, self._combinations)

    def _combinations(self) -> tuple[Rule, ...]:
        weights = (
            self.logits_weight,
            self.labels_weight,
            self.hidden_weight,
            self.relation_weight,
            self.attention_weight,
        )
        rule = "the weights of logits, labels, hidden, relation and attention must not be negative, nor all be zero"
        return ((max(weights) > 0, rule, weights),)
