"""Files to answers with onnxruntime, tokenizers and numpy alone."""

from optimum_ose.serving.pipeline import OnnxPipeline

__all__ = ["OnnxPipeline"]
