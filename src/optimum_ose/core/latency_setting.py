"""Owns the conditions under which the latency of candidates is measured, and how much is measured."""

from dataclasses import dataclass
from typing import Literal, final

from optimum_ose.exceptions import InvalidConfigError

MIN_CANDIDATES = 8
"""Fewer cannot hold a model and its held-back error."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySetting:
    """How the latency of a candidate is measured in ONNX Runtime, for a bound on it or as the cost in W."""

    batch_size: int = 1
    """Rows per call, >= 1."""
    num_threads: int | None = None
    """Intra-op threads, >= 1; None: as many as this machine has cores."""
    precision: Literal["fp32", "int8"] = "fp32"
    """Which ONNX file: fp32 as exported, or dynamic int8 made from it."""
    num_candidates: int = 24
    """Candidates that are built with random weights and measured to fit the model, >= 8."""
    num_rounds: int = 9
    """Timing blocks per candidate, in turns with the others', >= 3."""
    block_seconds: float = 0.2
    """Length of one timing block, seconds, > 0."""

    def __post_init__(self) -> None:
        rules = (
            (self.batch_size >= 1, "batch_size must be at least 1", self.batch_size),
            (self.num_threads is None or self.num_threads >= 1, "num_threads must be at least 1", self.num_threads),
            (self.precision in {"fp32", "int8"}, "precision must be fp32 or int8", self.precision),
            (
                self.num_candidates >= MIN_CANDIDATES,
                f"num_candidates must be at least {MIN_CANDIDATES}",
                self.num_candidates,
            ),
            (self.num_rounds >= 3, "num_rounds must be at least 3", self.num_rounds),
            (self.block_seconds > 0, "block_seconds must be positive", self.block_seconds),
        )
        broken = [(rule, value) for holds, rule, value in rules if not holds]
        if broken:
            raise InvalidConfigError(
                "LatencySetting: " + "; ".join(rule for rule, _ in broken),
                "got " + ", ".join(repr(value) for _, value in broken),
                "Change the named settings",
            )
