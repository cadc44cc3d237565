"""What a model card may tell: records of things that happened, each optional."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, final

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.tasks import DEFAULT_TASK
from optimum_ose.wording import shown

Role = Literal["teacher", "student"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One measured score."""

    model: Role
    """Whose."""
    format: str
    """`pytorch-fp32`, `onnx-fp32` or `onnx-int8`."""
    metric: str
    """Name of the metric, as in `accuracy`."""
    value: float
    """The score; one that is not finite is left out of the card."""
    split: str
    """Name of the split it was measured on."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of one model."""

    model: Role
    """Whose."""
    parameters: int
    """Parameter count, embeddings included."""
    parameters_without_embeddings: int
    """Parameter count without embeddings."""
    multiply_adds: int | None = None
    """Per sequence of `CardFacts.sequence_length` tokens."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One architecture of the search."""

    architecture: Mapping[str, int]
    """Axis values by Transformers' names."""
    parameter_size: float
    """p."""
    inference_cost: float
    """i."""
    error: float | None = None
    """e; None if it was not trained."""
    w: float | None = None
    """The W-coefficient, or 1 / e where the error was the objective; higher is better."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Carbon:
    """What a tracker estimated for the run."""

    grams: float
    """Grams of CO2 equivalents."""
    source: str
    """The tracker, with its version."""
    hardware: str | None = None
    """Processor."""
    location: str | None = None
    """Country."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Everything a card tells. A fact that is missing leaves its sentence, row or section out."""

    model_name: str
    """Title of the card."""
    task: str = DEFAULT_TASK
    """The Hub's pipeline tag."""
    takes_pairs: bool = False
    """Whether the model compares two texts."""
    repo_id: str | None = None
    """Hub id of the student, for the examples of use."""
    base_model: str | None = None
    """Hub id of the teacher; None if the teacher was a local folder."""
    license: str | None = None
    """License of the teacher, which the student inherits."""
    license_name: str | None = None
    """Of a license that the Hub lists as `other`."""
    license_link: str | None = None
    """Where that license can be read."""
    languages: tuple[str, ...] = ()
    """ISO codes."""
    dataset_name: str | None = None
    """Readable name of the data set."""
    dataset_id: str | None = None
    """Hub id of the data set; None if it was a local file."""
    num_rows: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Split -> rows, after checks and the removal of repeated texts."""
    labels: tuple[str, ...] = ()
    """Names of the classes, in order."""
    scores: tuple[Score, ...] = ()
    """Measured scores, in the order to be shown."""
    sizes: tuple[Size, ...] = ()
    """Of teacher and student."""
    sequence_length: int = 128
    """Tokens per sequence for the multiply-adds."""
    input: str | None = None
    """What they are counted for, where it is no text: the size of an image."""
    benchmark: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What `optimum_ose.export.benchmark.benchmark_formats` returned."""
    latency_sentences: tuple[str, ...] = ()
    """What was asked of the student's latency, and what was predicted and measured."""
    default_file: str | None = None
    """The ONNX file that serving takes by default."""
    certificate: str | None = None
    """The certificate of the search, as one sentence."""
    candidates: tuple[Candidate, ...] = ()
    """The winner first, then the runners-up."""
    maximum_point: Candidate | None = None
    """T: the teacher's own architecture, never trained by the search."""
    plot: str | None = None
    """Path of the Pareto plot, relative to the card."""
    training: tuple[str, ...] = ()
    """What was trained, how long, and how well it did on the way."""
    carbon: Carbon | None = None
    """Emissions, if a tracker ran along."""
    score_name: str = "W"
    """What `Candidate.w` holds."""
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Versions of the libraries that made the model."""

    def __post_init__(self) -> None:
        for name in ("repo_id", "base_model", "dataset_id"):
            value = getattr(self, name)
            try:
                validate_repo_id(value or "none")
            except HFValidationError as error:
                raise InvalidConfigError(
                    f"CardFacts: {name} must be a Hub id such as user/name",
                    f"got {shown(value)}",
                    "Leave it out for a local folder",
                ) from error

    @property
    def finite_scores(self) -> tuple[Score, ...]:
        """The scores that are numbers."""
        return tuple(score for score in self.scores if math.isfinite(score.value))
