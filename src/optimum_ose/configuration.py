"""The settings of each stage: frozen, checked on construction, readable from and writable to JSON.

A config holds no model, device or path. `check` collects every fault of a config before it raises, so that a user
mends them in one go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args, get_type_hints

from optimum_ose.core.latency_setting import LatencySetting
from optimum_ose.exceptions import InvalidConfigError

Theta = Mapping[str, Any]
"""One hyperparameter set: names of `DistillationConfig` fields and the values to try."""

Rule = tuple[bool, str, object]
"""Of a setting: whether it holds, what must hold, what came."""

DEFAULT_BUDGET = 48
"""Short distillations of a certified search that was given no budget. Ours: some minutes for a small encoder on two
cores; where it does not suffice for epsilon, the certificate says which ratio was reached."""


def _check(owner: str, rules: Sequence[Rule]) -> None:
    """Raise one error that names every rule that does not hold."""
    broken = [(rule, value) for holds, rule, value in rules if not holds]
    if broken:
        raise InvalidConfigError(
            f"{owner}: " + "; ".join(rule for rule, _ in broken),
            "got " + ", ".join(repr(value) for _, value in broken),
            "Change the named settings",
        )


def _choice(config: object, name: str) -> Rule:
    """A field must have one of the values that its annotation lists."""
    *others, last = get_args(get_type_hints(type(config))[name])
    value = getattr(config, name)
    return value in {*others, last}, f"{name} must be {', '.join(others)} or {last}", value


def _none_or_positive(config: object, name: str) -> Rule:
    value = getattr(config, name)
    return value is None or value > 0, f"{name} must be positive", value


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """How an architecture is extracted. Source of the method: de Wynter, arXiv:2010.08512; epsilon: our reading."""

    epsilon: float = 0.05
    """Relative shortfall from the best W that the user accepts, in (0, 1)."""
    method: Literal["certified", "stride", "exhaustive"] = "certified"
    """How candidates are chosen for training."""
    objective: Literal["w-coefficient", "error"] = "w-coefficient"
    """What the winner is best in: the highest W, or the least e-hat under the bounds on size and latency."""
    interval_size: int = 1
    """Integer stride of the published algorithm, >= 1 (only `stride`)."""
    max_training_steps: int = 30
    """s: distillation steps of one candidate, >= 0. Bort used 3; after inheritance 30 already rank well."""
    hyperparameters: tuple[Theta, ...] = (MappingProxyType({"learning_rate": 3e-4}),)
    """Theta: overrides of `DistillationConfig` tried for every candidate. Short runs from repaired weights want a
    gentle rate: at 1e-3, 30 steps undid part of the repair in our runs."""
    error: Literal["cross-entropy", "task-metric"] = "cross-entropy"
    """e-hat: cross-entropy to the maximum point's output distribution (as Bort), or 1 - the task's metric."""
    num_eval_rows: int = 512
    """|B|: rows of the development split on which e-hat is measured, >= 1."""
    batch_size: int = 32
    """Rows per step of the short distillations, >= 1."""
    max_evaluations: int | None = None
    """Budget of short distillations; None: `DEFAULT_BUDGET` for the certified method, all that the others ask for."""
    max_parameters: int | None = None
    """Upper bound on the parameter count of the student, embeddings included."""
    max_non_embedding_parameters: int | None = None
    """Upper bound on the parameter count of the student without its embeddings."""
    max_latency_ms: float | None = None
    """Upper bound on the median latency of the student in ONNX Runtime on this machine, at the `latency` setting and
    `sequence_length`, milliseconds."""
    inference_cost: Literal["multiply-adds", "latency"] = "multiply-adds"
    """i: exact multiply-adds of one sequence, or the latency predicted for this machine, milliseconds."""
    latency: LatencySetting = field(default_factory=LatencySetting)
    """How latency is measured; used with `max_latency_ms` or `inference_cost="latency"` only."""
    max_error: float | None = None
    """Upper bound on e-hat."""
    axes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Values per axis, instead of the default ones."""
    sequence_length: int = 128
    """Tokens per sequence for multiply-adds and latency, >= 1."""
    noise: float | None = None
    """Relative standard deviation of e-hat between seeds; None: estimated by replicates."""
    num_threads: int | None = None
    """Threads of each short distillation, >= 1; None: what PyTorch takes, and all usable cores in each process of a
    launch. Errors depend on it in their sixth digit."""
    seed: int = 0
    """Seed of batches, initialization and design."""

    @property
    def budget(self) -> int | None:
        """Short distillations allowed; None: no limit."""
        return DEFAULT_BUDGET if self.max_evaluations is None and self.method == "certified" else self.max_evaluations

    @property
    def is_bounded(self) -> bool:
        """Whether the student's size or latency is bounded from above."""
        bounds = (self.max_parameters, self.max_non_embedding_parameters, self.max_latency_ms)
        return any(bound is not None for bound in bounds)

    def __post_init__(self) -> None:
        _check(
            "SearchConfig",
            [
                (0.0 < self.epsilon < 1.0, "epsilon must lie in the open interval (0, 1)", self.epsilon),
                _choice(self, "method"),
                _choice(self, "objective"),
                (
                    self.objective != "error" or self.is_bounded,
                    "objective error needs max_parameters, max_non_embedding_parameters or max_latency_ms "
                    "(without a bound the maximum point wins)",
                    self.objective,
                ),
                (self.interval_size >= 1, "interval_size must be at least 1", self.interval_size),
                (self.max_training_steps >= 0, "max_training_steps must not be negative", self.max_training_steps),
                (len(self.hyperparameters) >= 1, "hyperparameters must hold at least one set", self.hyperparameters),
                _choice(self, "error"),
                (self.num_eval_rows >= 1, "num_eval_rows must be at least 1", self.num_eval_rows),
                (self.batch_size >= 1, "batch_size must be at least 1", self.batch_size),
                _none_or_positive(self, "max_evaluations"),
                _none_or_positive(self, "max_parameters"),
                _none_or_positive(self, "max_non_embedding_parameters"),
                _none_or_positive(self, "max_latency_ms"),
                _choice(self, "inference_cost"),
                _none_or_positive(self, "max_error"),
                (self.sequence_length >= 1, "sequence_length must be at least 1", self.sequence_length),
                _none_or_positive(self, "num_threads"),
                (self.noise is None or self.noise >= 0, "noise must not be negative", self.noise),
                (self.seed >= 0, "seed must not be negative", self.seed),
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationConfig:
    """How a student learns from its teacher.

    Defaults for temperature, warm-up, weight decay and clipping: the released Bort recipe (github.com/alexa/bort).
    Learning rate and loss
    weights: ours, for students that inherit weights.
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
    labels_weight: float = 0.1
    """Weight of the loss to the labels, of rows that have one, >= 0."""
    hidden_weight: float = 0.0
    """Weight of the hidden-state match, >= 0; zero by default, for it cost accuracy at equal steps in our runs."""
    relation_weight: float = 0.0
    """Weight of the match of token relations in the last hidden states, which needs no projection, >= 0."""
    attention_weight: float = 0.0
    """Weight of the match of attention maps, layer by layer, >= 0; needs models with eager attention."""
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
        _check(
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
                (
                    self.gradient_accumulation_steps >= 1,
                    "gradient_accumulation_steps must be at least 1",
                    self.gradient_accumulation_steps,
                ),
                _choice(self, "mixed_precision"),
                (self.checkpoint_steps >= 1, "checkpoint_steps must be at least 1", self.checkpoint_steps),
                (self.seed >= 0, "seed must not be negative", self.seed),
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgoraConfig:
    """How Agora samples around the student's mistakes. Ingredients: de Wynter, arXiv:2010.07990; form and radii of
    tau: ours.
    """

    points_per_mistake: int = 1
    """New points per mistake and round, >= 1."""
    min_distance: float = 0.1
    """r_min: least distance to the mistake, in median nearest-neighbor distances of the training set."""
    max_distance: float = 1.0
    """r_max: greatest distance to the mistake, in the same unit."""
    replacement_probability: float = 0.15
    """Share of the tokens that one proposal replaces, in (0, 1]."""
    num_neighbors: int = 10
    """Neighbors in the labeler's embedding space that may replace a token, >= 1."""
    interpolation_share: float = 0.25
    """Share of the proposals that lie between two mistakes instead of being tau's, in [0, 1]."""
    max_attempts: int = 8
    """Proposals per new point before it is given up, >= 1."""
    label_temperature: float = 1.0
    """Of the labeler's soft labels, > 0."""
    soft_labels: bool = True
    """Teach the labeler's distributions instead of its first choices (`finetune`; texts with one class each)."""
    labeler_share: float = 0.9
    """With soft labels: share of the labeler's distribution in what training rows teach, beside their given label. A
    trec6 student of 100 rows came to 0.88 of its development rows at 0.9, and to 0.83 at 0.5 (one seed)."""
    minimum_labeler_accuracy: float = 2 / 3
    """Least accuracy of the labeler on the development set, in [0, 1]. Source: de Wynter, arXiv:2010.07990."""
    epochs_per_round: int = 1
    """Epochs between two rounds, >= 1; with few training rows an epoch is a few steps."""
    accumulate: bool = True
    """Append the rows of each round to those of the rounds before, as the paper appends them to the training set;
    False: each round's rows replace the last."""
    pool_share: float = 0.5
    """Pool rows added to a batch, as a share of its own rows, in (0, 1]."""
    report_test: bool = True
    """Report the accuracy on the third set in each round; False: it is there, and left alone until the end. Where
    `optimize` and `ose run` fine-tune, it is always left alone."""
    betti_numbers: bool = False
    """Report Betti numbers of the training set before Agora and with each round's pool (extra `topology`)."""
    seed: int = 0
    """Seed of proposals and of the mixing."""

    def __post_init__(self) -> None:
        _check(
            "AgoraConfig",
            [
                (self.points_per_mistake >= 1, "points_per_mistake must be at least 1", self.points_per_mistake),
                (
                    0 <= self.min_distance < self.max_distance,
                    "min_distance must be at least 0 and below max_distance",
                    (self.min_distance, self.max_distance),
                ),
                (
                    0 < self.replacement_probability <= 1,
                    "replacement_probability must lie in (0, 1]",
                    self.replacement_probability,
                ),
                (self.num_neighbors >= 1, "num_neighbors must be at least 1", self.num_neighbors),
                (
                    0 <= self.interpolation_share <= 1,
                    "interpolation_share must lie in [0, 1]",
                    self.interpolation_share,
                ),
                (self.max_attempts >= 1, "max_attempts must be at least 1", self.max_attempts),
                (self.label_temperature > 0, "label_temperature must be positive", self.label_temperature),
                (0 <= self.labeler_share <= 1, "labeler_share must lie in [0, 1]", self.labeler_share),
                (
                    0 <= self.minimum_labeler_accuracy <= 1,
                    "minimum_labeler_accuracy must lie in [0, 1]",
                    self.minimum_labeler_accuracy,
                ),
                (self.epochs_per_round >= 1, "epochs_per_round must be at least 1", self.epochs_per_round),
                (0 < self.pool_share <= 1, "pool_share must lie in (0, 1]", self.pool_share),
                (self.seed >= 0, "seed must not be negative", self.seed),
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How a student becomes files."""

    quantization: Literal["dynamic-int8", "none"] = "dynamic-int8"
    """Second ONNX file beside the fp32 one."""
    half_weights: bool = False
    """Whether to write `onnx/model_fp16.onnx` too: half the size on the disk, computed in float32."""
    opset: int = 17
    """ONNX operator set, >= 14."""
    pooling: Literal["none", "mean", "first", "last"] = "none"
    """How a text's one vector, `sentence_embedding`, is made in the graph of its tokens' (feature extraction only)."""
    tolerance: float = 1e-4
    """Largest accepted difference of a logit between PyTorch and ONNX fp32, > 0."""
    max_score_loss: float = 0.01
    """Share of the fp32 score that int8 may lose and still be the default file, in [0, 1]."""
    block_seconds: float = 0.3
    """Length of one timing block; every format gets five, interleaved with the others', seconds, > 0."""

    def __post_init__(self) -> None:
        _check(
            "ExportConfig",
            [
                _choice(self, "quantization"),
                (self.opset >= 14, "opset must be at least 14", self.opset),
                (
                    self.pooling in {"none", "mean", "first", "last"},
                    "pooling must be none, mean, first or last",
                    self.pooling,
                ),
                (self.tolerance > 0, "tolerance must be positive", self.tolerance),
                (0 <= self.max_score_loss <= 1, "max_score_loss must lie in [0, 1]", self.max_score_loss),
                (self.block_seconds > 0, "block_seconds must be positive", self.block_seconds),
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OSEConfig:
    """The whole way: one config per stage."""

    search: SearchConfig = field(default_factory=SearchConfig)
    """Extraction of the architecture."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """Distillation of the student."""
    agora: AgoraConfig | None = field(default_factory=AgoraConfig)
    """Agora during the student's fine-tuning; None: plain fine-tuning."""
    export: ExportConfig = field(default_factory=ExportConfig)
    """Export to ONNX."""
    teacher_arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Fields of `transformers.TrainingArguments` for a teacher that has no task head yet, where they differ from
    ours."""
    student_arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Fields of `transformers.TrainingArguments` for the student's fine-tuning, where they differ from ours."""
    max_length: int = 128
    """Tokens per text, >= 8; longer texts are cut."""

    def __post_init__(self) -> None:
        _check("OSEConfig", [(self.max_length >= 8, "max_length must be at least 8", self.max_length)])
