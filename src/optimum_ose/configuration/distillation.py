"""How a student learns from its teacher."""

from dataclasses import dataclass
from typing import Literal

from optimum_ose.configuration.rules import check, choice


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationConfig:
    """How a student learns from its teacher.

    Defaults for temperature, warm-up, weight decay and clipping: the released Bort recipe (github.com/alexa/bort).
    Learning rate and loss weights: ours, for students that inherit weights.
    """

    num_steps: int = 2_000
    """Optimizer steps, >= 0."""
    batch_size: int = 32
    """Rows per step and process, >= 1."""
    learning_rate: float = 3e-4
    """Peak learning rate of AdamW, > 0. Students that inherit start near their teacher: at 1e-3, 2000 steps took a
    trec6 student of 5 layers from 0.89 of its development rows right to 0.86; 300 steps at 3e-4 took it to 0.92 (one
    seed). Narrow students and students from scratch want more."""
    warmup_ratio: float = 0.01
    """Share of the steps with a rising learning rate; then it falls linearly to zero. In [0, 1]."""
    weight_decay: float = 0.01
    """Of every tensor but biases and norms, >= 0."""
    max_grad_norm: float = 1.0
    """Gradient clipping, > 0."""
    temperature: float = 2.0
    """Of the softened distributions, > 0."""
    logits_weight: float = 1.0
    """Weight of T^2 KL(teacher, student), >= 0."""
    rare_class_weight: float = 10.0
    """Token classification: a token's divergence counts once, and so many times the probability that the teacher gives
    to other classes than the batch's commonest, >= 0. Most tokens belong to no name; counted evenly, they take a small
    student's capacity, and it finds fewer names."""
    labels_weight: float = 0.1
    """Weight of the loss to the labels, of rows that have one, >= 0."""
    hidden_weight: float = 0.0
    """Weight of the hidden-state match, >= 0; zero by default, for it cost accuracy at equal steps in our runs."""
    relation_weight: float = 0.0
    """Weight of the match of token relations in the last hidden states, which needs no projection, >= 0."""
    attention_weight: float = 0.0
    """Weight of the match of attention maps, layer by layer, >= 0; needs models with eager attention."""
    num_augmented_copies: int = 0
    """Copies of each row of text in which words give way to their neighbors in the teacher's embedding space, >= 0. The
    teacher answers them anew, so they need no label; the words of pairs that both texts share stay shared. Which words
    are replaced does not depend on `seed`: the same rows have the same copies. Source of the idea: TinyBERT,
    arXiv:1909.10351, which takes proposals of BERT and neighbors in GloVe."""
    replacement_probability: float = 0.4
    """Share of a copy's words that are replaced, in (0, 1]."""
    gradient_accumulation_steps: int = 1
    """Batches per optimizer step, >= 1."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of forward and backward passes."""
    log_with: tuple[str, ...] = ()
    """Trackers, in Accelerate's words ("tensorboard", "wandb", ...), that hear of each step's loss."""
    checkpoint_steps: int = 200
    """Steps between two checkpoints, >= 1."""
    seed: int = 0
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
        weights = (
            self.logits_weight,
            self.labels_weight,
            self.hidden_weight,
            self.relation_weight,
            self.attention_weight,
        )
        check(
            "DistillationConfig",
            [
                (self.num_steps >= 0, "num_steps must not be negative", self.num_steps),
                (self.batch_size >= 1, "batch_size must be at least 1", self.batch_size),
                (self.learning_rate > 0, "learning_rate must be positive", self.learning_rate),
                (0 <= self.warmup_ratio <= 1, "warmup_ratio must lie in [0, 1]", self.warmup_ratio),
                (self.weight_decay >= 0, "weight_decay must not be negative", self.weight_decay),
                (self.max_grad_norm > 0, "max_grad_norm must be positive", self.max_grad_norm),
                (self.temperature > 0, "temperature must be positive", self.temperature),
                (
                    min(weights) >= 0 < max(weights),
                    "the weights of logits, labels, hidden, relation and attention must not be negative, nor all be "
                    "zero",
                    weights,
                ),
                (self.rare_class_weight >= 0, "rare_class_weight must not be negative", self.rare_class_weight),
                (
                    self.num_augmented_copies >= 0,
                    "num_augmented_copies must not be negative",
                    self.num_augmented_copies,
                ),
                (
                    0 < self.replacement_probability <= 1,
                    "replacement_probability must lie in (0, 1]",
                    self.replacement_probability,
                ),
                (
                    self.gradient_accumulation_steps >= 1,
                    "gradient_accumulation_steps must be at least 1",
                    self.gradient_accumulation_steps,
                ),
                choice(self, "mixed_precision"),
                (self.checkpoint_steps >= 1, "checkpoint_steps must be at least 1", self.checkpoint_steps),
                (self.seed >= 0, "seed must not be negative", self.seed),
            ],
        )
