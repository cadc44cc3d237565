"""How an architecture is searched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from optimum_ose.configuration.rules import check, choice, none_or_positive
from optimum_ose.core.latency_setting import LatencySetting

Theta = Mapping[str, Any]
"""One hyperparameter set: names of `DistillationConfig` fields and the values to try."""

LayerSelection = Literal["even", "block-influence", "loss-when-dropped"]
"""Which of the teacher's layers a student inherits: the last of runs of like length; or the last one and those that
change the residual stream most, 1 - cosine of input and output; or the last one and those without which the teacher's
answers are worst."""

DEFAULT_BUDGET = 48
"""Short distillations of a certified search that was given no budget. Ours: some minutes for a small encoder on two
cores; where it does not suffice for epsilon, the certificate says which ratio was reached."""


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
    hyperparameters: tuple[Theta, ...] = (MappingProxyType({"learning_rate": 1e-4}),)
    """Theta: overrides of `DistillationConfig` tried for every candidate. Short runs from repaired weights want a
    gentle rate: on trec6 and sst2 the errors of 30 steps differed by up to 18% between seeds at 3e-4, by up to 9% at
    1e-4, where six of seven students of 96 channels and more were nearer to their teacher; narrower ones were not."""
    error: Literal["cross-entropy", "task-metric"] = "cross-entropy"
    """e-hat: cross-entropy to the maximum point's output distribution (as Bort), or 1 - the task's metric."""
    layer_selection: LayerSelection = "even"
    """Which of the teacher's layers candidates inherit."""
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
        check(
            "SearchConfig",
            [
                (0.0 < self.epsilon < 1.0, "epsilon must lie in the open interval (0, 1)", self.epsilon),
                choice(self, "method"),
                choice(self, "objective"),
                (
                    self.objective != "error" or self.is_bounded,
                    "objective error needs max_parameters, max_non_embedding_parameters or max_latency_ms "
                    "(without a bound the maximum point wins)",
                    self.objective,
                ),
                (self.interval_size >= 1, "interval_size must be at least 1", self.interval_size),
                (self.max_training_steps >= 0, "max_training_steps must not be negative", self.max_training_steps),
                (len(self.hyperparameters) >= 1, "hyperparameters must hold at least one set", self.hyperparameters),
                choice(self, "error"),
                choice(self, "layer_selection"),
                (self.num_eval_rows >= 1, "num_eval_rows must be at least 1", self.num_eval_rows),
                (self.batch_size >= 1, "batch_size must be at least 1", self.batch_size),
                none_or_positive(self, "max_evaluations"),
                none_or_positive(self, "max_parameters"),
                none_or_positive(self, "max_non_embedding_parameters"),
                none_or_positive(self, "max_latency_ms"),
                choice(self, "inference_cost"),
                none_or_positive(self, "max_error"),
                (self.sequence_length >= 1, "sequence_length must be at least 1", self.sequence_length),
                none_or_positive(self, "num_threads"),
                (self.noise is None or self.noise >= 0, "noise must not be negative", self.noise),
                (self.seed >= 0, "seed must not be negative", self.seed),
            ],
        )
