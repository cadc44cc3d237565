"""An int8 ONNX file made from the fp32 one."""

from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from optimum_ose.exceptions import ExportError
from optimum_ose.export.atomic_file import atomic_file
from optimum_ose.export.parity import open_session


def quantize_dynamic_int8(folder: Path) -> Path:
    """Write `folder/onnx/model_quantized.onnx` from `folder/onnx/model.onnx`.

    Weights and embeddings become int8; activations are quantized while the model runs, so no calibration data is
    needed. How much accuracy this costs is for the task's metric to say.

    Raises:
        ExportError: if there is no fp32 file.
        OutputFolderError: if the file cannot be written.
    """
    source = Path(folder) / "onnx" / "model.onnx"
    target = source.with_name("model_quantized.onnx")
    if not source.is_file():
        raise ExportError("Quantization starts from onnx/model.onnx", f"{folder} has none", "Call export_onnx first")
    graph = onnx.load(source)
    # Without this mark the quantizer configures the caller's root logger to suggest offline fusion, which is slower.
    add_pre_process_metadata(graph)
    with atomic_file(target) as temporary:
        quantize_dynamic(
            graph,
            temporary,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        open_session(temporary)
    return target
