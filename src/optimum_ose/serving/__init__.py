"""Files to answers with onnxruntime, tokenizers and numpy alone; the HTTP server with the extra `serving`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimum_ose.serving.pipeline import OnnxPipeline

__all__ = ["OnnxPipeline"]


def __getattr__(name: str) -> Any:
    """Load the pipeline on first use: the command's options need no ONNX Runtime."""
    if name == "OnnxPipeline":
        from optimum_ose.serving.pipeline import OnnxPipeline

        return OnnxPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
