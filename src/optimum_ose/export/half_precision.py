"""An ONNX file of half the size: weights kept in 16 bits, and widened again when the file is loaded."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optimum_ose.exceptions import ExportError
from optimum_ose.export.graph_files import atomic_graph, save_graph
from optimum_ose.export.parity import open_session
from optimum_ose.serving.graphs import HALF, files_beside, main_file

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = 256
"""Numbers of a weight that is worth an operator more."""


def write_half_weights(folder: Path) -> Path:
    """Write `folder/onnx/model_fp16.onnx` from `folder/onnx/model.onnx`; of an encoder with a decoder both files.

    Only what is stored is halved. ONNX Runtime widens the weights once, when it loads the file; it then computes in
    float32, as fast and in as much memory as with the fp32 file. Inputs and outputs stay as they are. Each weight is
    rounded to 11 significant bits.

    Raises:
        ExportError: if there is no fp32 file, or a weight is beyond the range of 16 bits.
        OutputFolderError: if the file cannot be written.
    """
    sources = files_beside(folder / main_file(folder))
    if not all(source.is_file() for source in sources):
        raise ExportError("Half weights are made from the fp32 files", f"{folder} has none", "Call export_onnx first")
    for source in sources:
        target = source.with_name(f"{source.stem}{HALF}.onnx")
        _write_half(source, target)
    return target


def _write_half(source: Path, target: Path) -> None:
    model = onnx.load(source)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _SMALLEST:
            name = tensor.name
            tensor.CopyFrom(_halved(tensor, f"{name}_half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with atomic_graph(target) as temporary:
        save_graph(model, temporary)
        del model
        open_session(temporary)


def _halved(tensor: TensorProto, name: str) -> TensorProto:
    weight = numpy_helper.to_array(tensor)
    largest = float(np.abs(weight).max(initial=0.0))
    if not largest <= _LARGEST:
        raise ExportError(
            f"Weights kept in 16 bits must lie within +-{_LARGEST:g}",
            f"{tensor.name} holds {largest:g}",
            "Keep the fp32 file",
        )
    return numpy_helper.from_array(weight.astype(np.float16), name)
