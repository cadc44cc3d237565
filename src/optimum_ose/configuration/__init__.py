"""The settings of each stage: frozen, checked on construction, readable from and writable to JSON.

A config holds no model, device or path.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from optimum_ose.configuration.agora import AgoraConfig
from optimum_ose.configuration.distillation import DistillationConfig
from optimum_ose.configuration.export import ExportConfig
from optimum_ose.configuration.kinds import STRICT, Settings, TextLength
from optimum_ose.configuration.latency import LatencySetting
from optimum_ose.configuration.rules import Rule, check
from optimum_ose.configuration.search import DEFAULT_BUDGET, LayerSelection, SearchConfig, Theta
from optimum_ose.configuration.training import training_rules

__all__ = [
    "DEFAULT_BUDGET",
    "AgoraConfig",
    "DistillationConfig",
    "ExportConfig",
    "LatencySetting",
    "LayerSelection",
    "OSEConfig",
    "SearchConfig",
    "Theta",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OSEConfig:
    """The whole way: one config per stage."""

    __pydantic_config__: ClassVar[Any] = STRICT

    search: SearchConfig = field(default_factory=SearchConfig)
    """Extraction of the architecture."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """Distillation of the student."""
    agora: AgoraConfig | None = field(default_factory=AgoraConfig)
    """Agora during the student's fine-tuning; None: plain fine-tuning."""
    export: ExportConfig = field(default_factory=ExportConfig)
    """Export to ONNX."""
    teacher_arguments: Settings = field(default_factory=lambda: MappingProxyType({}))
    """Fields of `transformers.TrainingArguments` for a teacher that has no task head yet, where they differ from
    ours."""
    student_arguments: Settings = field(default_factory=lambda: MappingProxyType({}))
    """Fields of `transformers.TrainingArguments` for the student's fine-tuning, where they differ from ours."""
    max_length: TextLength = 128
    """Tokens per text, >= 8; longer texts are cut."""

    def __post_init__(self) -> None:
        check(self, self._combinations)

    def _combinations(self) -> tuple[Rule, ...]:
        return (
            *training_rules("teacher_arguments", self.teacher_arguments),
            *training_rules("student_arguments", self.student_arguments),
        )
