"""How a student becomes files."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from optimum_ose.configuration.kinds import STRICT, Opset, Positive, Share
from optimum_ose.configuration.rules import check


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How a student becomes files."""

    __pydantic_config__: ClassVar[Any] = STRICT

    quantization: Literal["dynamic-int8", "static-int8", "none"] = "dynamic-int8"
    """Second ONNX file beside the fp32 one. `static-int8` fixes the scales of activations on calibration rows: then no
    answer depends on the texts that share its batch, at some cost of speed (docs/export.md). A search times dynamic
    int8."""
    half_weights: bool = False
    """Whether to write `onnx/model_fp16.onnx` too: half the size on the disk, computed in float32."""
    weight_only: tuple[Literal["int8", "int4"], ...] = ()
    """Further files whose weights alone are quantized, in blocks of 32: `int8` for `onnx/model_int8.onnx`, `int4` for
    `onnx/model_q4.onnx`. A run does not score or time them."""
    opset: Opset = 17
    """ONNX operator set, 14 to 20: what the exporter of PyTorch writes."""
    pooling: Literal["none", "mean", "first", "last"] = "none"
    """How a text's one vector, `sentence_embedding`, is made in the graph of its tokens' (feature extraction only)."""
    tolerance: Positive = 1e-4
    """Largest accepted difference of a logit between PyTorch and ONNX fp32, > 0."""
    max_score_loss: Share = 0.01
    """Share of the fp32 score that int8 may lose and still be the default file, in [0, 1]."""
    block_seconds: Positive = 0.3
    """Length of one timing block; every format gets five (three without a run), interleaved with the others', seconds,
    > 0."""

    def __post_init__(self) -> None:
        check(self)
