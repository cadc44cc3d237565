"""How an architecture is searched."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

from optimum_ose.configuration.distillation import DistillationConfig
from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.configuration.faults import Unquoted
from optimum_ose.configuration.kinds import (
    STRICT,
    Bounds,
    Count,
    CountOrZero,
    Filled,
    Frozen,
    Length,
    NotNegative,
    Positive,
    Seed,
    Settings,
    Share,
    Size,
    Threads,
)
from optimum_ose.configuration.latency import LatencySetting
from optimum_ose.configuration.rules import Rule, check, setting_faults
from optimum_ose.wording import listed

Theta = Settings
"""One hyperparameter set: names of `DistillationConfig` fields and the values to try."""

Axes = Annotated[Mapping[str, Annotated[tuple[Count, ...], Filled()]], Frozen()]
"""Names of axes and the values that each may take."""

LayerSelection = Literal["even", "block-influence", "loss-when-dropped"]
"""Which of the teacher's layers a student inherits: the last of runs of like length; or the last one and those that
change the residual stream most, 1 - cosine of input and output; or the last one and those without which the teacher's
answers are worst."""

DEFAULT_BUDGET = 48
"""Short distillations of a certified search that was given no budget. Ours: some minutes for a small encoder on two
cores; where it does not suffice for epsilon, the certificate says which ratio was reached."""


SIZE_BOUNDS = ("max_parameters", "max_non_embedding_parameters")
"""Settings that bound the size of a student."""
DEFAULT_KEEP = 0.97
"""Share of the teacher's development score that a student keeps if nothing else is asked for. Ours."""
LARGEST_SHARE = 0.25
"""Of the teacher's parameters without embeddings: larger candidates are left out of an elastic training whose size is
not bounded otherwise. They are hardly faster than the teacher, and their steps would be most of the training's cost."""

_HYPERPARAMETERS: dict[str, Any] = {"learning_rate": 1e-4}
"""Of each short training, where none are named."""


Method = Literal["elastic", "inherited", "certified", "stride", "exhaustive"]
WITHOUT_SHORT_TRAININGS: tuple[Method, ...] = ("elastic", "inherited")
"""Methods that measure candidates by forward passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """How an architecture is extracted. Source of the method: de Wynter, arXiv:2010.08512; epsilon: our reading."""

    __pydantic_config__: ClassVar[Any] = STRICT

    epsilon: Annotated[float, Bounds(above=0, below=1)] = 0.05
    """Relative shortfall from the best W that the user accepts, in (0, 1)."""
    method: Method | None = None
    """How candidates are measured: `elastic` trains one set of shared weights, of which every candidate is a part, and
    measures the parts without training them alone; `inherited` measures each with the weights that it inherits from the
    teacher, ranked and repaired, and trains nothing; the others train candidates for a short while, chosen one after
    the other, at a stride, or all. None: `inherited` where weights can be ranked and the task has few answers to a row;
    else, or where `elastic` is set, `elastic` where the model's candidates are parts of each other; else `certified`.
    """
    elastic: ElasticSetting = field(default_factory=ElasticSetting)
    """How the shared weights are trained (only `elastic`)."""
    objective: Literal["w-coefficient", "error"] = "w-coefficient"
    """What the winner is best in: the highest W, or the least e-hat under the bounds on size and latency."""
    keep: Share | None = None
    """Share of the teacher's development score that the finished student must keep, in [0, 1]; 0: any. Not with
    short trainings. None: `DEFAULT_KEEP` where nothing else bounds the search and W is its objective, else any."""
    prefer: Literal["size", "latency", "w"] | None = None
    """Which candidate is taken of those that keep it: the smallest, that of the least `inference_cost`, or that of the
    highest W. None: the smallest where `keep` is given, the highest W where it is the default."""
    interval_size: Count = 1
    """Integer stride of the published algorithm, >= 1 (only `stride`)."""
    max_training_steps: CountOrZero = 30
    """s: distillation steps of one candidate, >= 0. Bort used 3; after inheritance 30 already rank well."""
    hyperparameters: Annotated[tuple[Theta, ...], Filled()] = field(
        default_factory=lambda: (MappingProxyType(_HYPERPARAMETERS),)
    )
    """Theta: overrides of `DistillationConfig` tried for every candidate. Short runs from repaired weights want a
    gentle rate: on trec6 and sst2 the errors of 30 steps differed by up to 18% between seeds at 3e-4, by up to 9% at
    1e-4, where six of seven students of 96 channels and more were nearer to their teacher; narrower ones were not."""
    error: Literal["divergence", "cross-entropy", "task-metric"] | None = None
    """e-hat: how much worse than its own the maximum point's answers are met (`divergence`: the KL divergence, or for
    numbers the relative squared error; only with `elastic`, where it is the default), the cross-entropy to them (as
    Bort; the default otherwise), or 1 - the task's metric."""
    layer_selection: LayerSelection = "even"
    """Which of the teacher's layers candidates inherit."""
    num_eval_rows: Count = 512
    """|B|: rows of the development split on which e-hat is measured, >= 1."""
    batch_size: Count = 32
    """Rows per step of the short distillations, >= 1."""
    max_evaluations: Count | None = None
    """Budget of short distillations, or with `elastic` of measured candidates; None: `DEFAULT_BUDGET` for the certified
    method, `elastic.max_measured` for `elastic`, all that the others ask for."""
    max_parameters: Size | None = None
    """Upper bound on the parameter count of the student, embeddings included."""
    max_non_embedding_parameters: Size | None = None
    """Upper bound on the parameter count of the student without its embeddings."""
    max_latency_ms: Positive | None = None
    """Upper bound on the median latency of the student in ONNX Runtime on this machine, at the `latency` setting and
    `sequence_length`, milliseconds."""
    inference_cost: Literal["multiply-adds", "latency"] = "multiply-adds"
    """i: exact multiply-adds of one sequence, or the latency predicted for this machine, milliseconds."""
    latency: LatencySetting = field(default_factory=LatencySetting)
    """How latency is measured; used with `max_latency_ms` or `inference_cost="latency"` only."""
    max_error: Positive | None = None
    """Upper bound on e-hat."""
    axes: Axes = field(default_factory=lambda: MappingProxyType({}))
    """Values per axis, instead of the default ones."""
    sequence_length: Length = 128
    """Tokens per sequence for multiply-adds and latency, >= 1."""
    noise: NotNegative | None = None
    """Relative standard deviation of e-hat between seeds; None: estimated by replicates."""
    num_threads: Threads | None = None
    """Threads of each short distillation, >= 1; None: what PyTorch takes, and all usable cores in each process of a
    launch. Errors depend on it in their sixth digit."""
    seed: Seed = 0
    """Seed of batches, initialization and design."""

    @property
    def budget(self) -> int | None:
        """Short distillations allowed; None: no limit."""
        return DEFAULT_BUDGET if self.max_evaluations is None and self.method == "certified" else self.max_evaluations

    @property
    def measured_error(self) -> str:
        """The error that is measured."""
        return self.error or ("cross-entropy" if self.trains_candidates else "divergence")

    @property
    def trains_candidates(self) -> bool:
        """Whether candidates are trained for a short while, each alone; not where the method is left open."""
        return self.method not in (None, *WITHOUT_SHORT_TRAININGS)

    @property
    def is_bounded(self) -> bool:
        """Whether the student's size or latency is bounded from above."""
        bounds = (self.max_parameters, self.max_non_embedding_parameters, self.max_latency_ms)
        return any(bound is not None for bound in bounds)

    @property
    def is_open(self) -> bool:
        """Whether nothing bounds the search, and W is its objective."""
        return not self.is_bounded and self.max_error is None and self.objective == "w-coefficient"

    @property
    def names_short_trainings(self) -> bool:
        """Whether something is set that only short trainings have."""
        settings = (self.noise, self.max_training_steps, self.batch_size, self.interval_size, self.layer_selection)
        return settings != (None, 30, 32, 1, "even") or [dict(theta) for theta in self.hyperparameters] != [
            _HYPERPARAMETERS
        ]

    def __post_init__(self) -> None:
        check(self, self._combinations)

    def _combinations(self) -> tuple[Rule, ...]:
        return (
            (
                self.objective != "error" or self.is_bounded,
                "objective error needs max_parameters, max_non_embedding_parameters or max_latency_ms "
                "(without a bound the maximum point wins)",
                self.objective,
            ),
            (
                not self.keep or not self.trains_candidates,
                "keep needs the method elastic or inherited: short trainings do not predict the student's score",
                self.method,
            ),
            (
                not self.keep or self.method is not None or not self.names_short_trainings,
                "keep needs the method elastic, and hyperparameters, noise, max_training_steps, batch_size, "
                "interval_size and layer_selection are of short trainings",
                self.keep,
            ),
            (
                not self.keep or self.objective != "error",
                "keep chooses by prefer, and objective error by the least error: give one of them",
                self.keep,
            ),
            (
                self.method not in WITHOUT_SHORT_TRAININGS or not self.names_short_trainings,
                "hyperparameters, noise, max_training_steps, batch_size, interval_size and layer_selection are of "
                "short trainings; the settings of the method elastic are in search.elastic",
                self.method,
            ),
            (
                bool(self.keep) or self.prefer is None or (self.keep is None and self.is_open),
                "prefer needs keep",
                self.prefer,
            ),
            (
                self.error != "divergence" or not self.trains_candidates,
                "error divergence needs the method elastic or inherited; short trainings are compared by cross-entropy",
                self.method,
            ),
            *(rule for theta in self.hyperparameters for rule in _theta_rules(theta)),
            *_rules_of_repetition("hyperparameters", self.hyperparameters),
            *(rule for name, values in self.axes.items() for rule in _rules_of_repetition(f"axes.{name}", values)),
        )


FREE_HYPERPARAMETERS = frozenset(item.name for item in fields(DistillationConfig)) - {
    "num_steps",
    "seed",
    "checkpoint_steps",
}
"""What a hyperparameter set may name: the rest of `DistillationConfig` is set by the search."""
FREE_SEARCH_SETTINGS = frozenset(
    {
        "epsilon",
        "keep",
        "prefer",
        "max_evaluations",
        "method",
        "interval_size",
        "noise",
        "max_parameters",
        "max_non_embedding_parameters",
        "objective",
        "max_latency_ms",
        "inference_cost",
        "latency",
        "max_error",
        "axes",
        "elastic",
    }
)
"""Settings of a search that may change while its finished evaluations stay valid."""


def _rules_of_repetition(name: str, values: tuple[Any, ...]) -> list[Rule]:
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    return [(False, f"{name} must hold each entry once", value) for value in twice[:1]]


def _theta_rules(theta: Theta) -> list[Rule]:
    unknown = sorted(set(theta) - FREE_HYPERPARAMETERS)
    if unknown:
        rule = f"hyperparameters may name {', '.join(sorted(FREE_HYPERPARAMETERS))}"
        return [(False, rule, Unquoted(listed(unknown)))]
    return [
        (False, f"hyperparameters.{fault.text}", fault.value)
        for name, value in theta.items()
        for fault in setting_faults(get_type_hints(DistillationConfig, include_extras=True)[name], value, name)
    ]
