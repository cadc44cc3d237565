"""How the latency of candidates is measured."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

from optimum_ose.configuration.kinds import STRICT, Bounds, Count, Positive, Threads
from optimum_ose.configuration.rules import check
from optimum_ose.core.costs import MIN_CANDIDATES


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySetting:
    """How the latency of a candidate is measured in ONNX Runtime, for a bound on it or as the cost in W."""

    __pydantic_config__: ClassVar[Any] = STRICT

    batch_size: Count = 1
    """Rows per call, >= 1."""
    num_threads: Threads | None = None
    """Intra-op threads, >= 1; None: as many as this machine has cores."""
    precision: Literal["fp32", "int8"] = "fp32"
    """Which ONNX file: fp32 as exported, or dynamic int8 made from it."""
    num_candidates: Annotated[int, Bounds(least=MIN_CANDIDATES, cap=100_000)] = 24
    """Candidates that are built with random weights and measured to fit the model, >= 8."""
    num_rounds: Annotated[int, Bounds(least=3, cap=100_000)] = 9
    """Timing blocks per candidate, in turns with the others', >= 3."""
    block_seconds: Positive = 0.2
    """Length of one timing block, seconds, > 0."""

    def __post_init__(self) -> None:
        check(self)
