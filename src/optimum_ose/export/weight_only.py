"""ONNX files whose weights are kept in 8 or 4 bits, in blocks with a scale each."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.capi import _pybind_state as kernels
from transformers import PreTrainedModel

from optimum_ose.exceptions import ExportError, UnsupportedModelError
from optimum_ose.export.graph_files import atomic_graph, save_graph
from optimum_ose.export.merging import is_merged, merge, split
from optimum_ose.export.parity import open_session
from optimum_ose.serving.graphs import WEIGHTS_INT4, WEIGHTS_INT8, files_beside, main_file

Bits = Literal[4, 8]
_ENDINGS: Mapping[Bits, str] = {8: WEIGHTS_INT8, 4: WEIGHTS_INT4}
_DOMAIN = "com.microsoft"
"""Of ONNX Runtime's own operators."""
_BLOCK_SIZE = 32
"""Weights that share a scale and a zero point; a power of two, >= 16."""
_ACCURACY_LEVEL = 4
"""The kernel rounds its input to 8 bits, block by block. Measured (MiniLM-L6, one thread, 16 tokens, 8-bit weights):
2.6 ms, and 22 ms with a float input, at nearly the same difference to fp32.
"""
_SMALLEST = 1024
"""Numbers of a weight that is worth another operator."""


def require_weight_only(bits: Bits, model: PreTrainedModel | None = None) -> None:
    """Pass if the installed ONNX Runtime can quantize weights to so many bits, and a model has any for it.

    Raises:
        UnsupportedModelError: if it cannot, or the model has convolutions and vectors alone.
    """
    if model is not None and not any(item.ndim == 2 and item.numel() >= _SMALLEST for item in model.parameters()):
        raise UnsupportedModelError(
            f"Weights in {bits} bits are those of products and tables, with at least {_SMALLEST} numbers each",
            f"{type(model).__name__} has none",
            "Leave the weight-only formats out",
        )
    if not hasattr(kernels, f"quantize_matmul_{bits}bits"):
        raise UnsupportedModelError(
            f"Weights in {bits} bits need an ONNX Runtime with the operator MatMulNBits for {bits} bits",
            "the installed one has none",
            "Update onnxruntime, or leave the format out",
        )


def quantize_weights(folder: Path, bits: Bits) -> Path:
    """Write `onnx/model_int8.onnx` or `onnx/model_q4.onnx` from `onnx/model.onnx`; of an encoder with a decoder both.

    Weights of products become MatMulNBits and token tables GatherBlockQuantized, operators of ONNX Runtime: 32
    numbers share a scale and a zero point. ONNX Runtime's own kernels quantize. The answer to a text does not depend on
    the other texts of its batch.

    Args:
        folder: of the model.
        bits: of a weight.

    Raises:
        ExportError: if there is no fp32 file, or it has no weight that can be kept so.
        UnsupportedModelError: if ONNX Runtime is too old.
        OutputFolderError: if the file cannot be written.
    """
    require_weight_only(bits)
    sources = files_beside(folder / main_file(folder))
    if not all(source.is_file() for source in sources):
        raise ExportError("Weights are quantized from the fp32 files", f"{folder} has none", "Call export_onnx first")
    for source in sources:
        target = source.with_name(f"{source.stem}{_ENDINGS[bits]}.onnx")
        model = onnx.load(source)
        if is_merged(model):
            parts = split(model)
            count = min(_quantize(part, bits) for part in parts)
            model = merge(*parts)
        else:
            count = _quantize(model, bits)
        if not count:
            raise ExportError(
                f"{source.name} must have a product or table with at least {_SMALLEST} weights",
                "it has none",
                "Leave the weight-only formats out",
            )
        with atomic_graph(target) as temporary:
            save_graph(model, temporary)
            del model
            open_session(temporary)
    return target


def _quantize(model: ModelProto, bits: Bits) -> int:
    """Replace operators in place; how many."""
    count = _Quantizer(model.graph, bits).run()
    if count and not any(item.domain == _DOMAIN for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    return count


@final
class _Quantizer:
    """One pass over the operators of a graph."""

    def __init__(self, graph: GraphProto, bits: Bits) -> None:
        self.graph = graph
        self.bits = bits
        self.weights = {tensor.name: tensor for tensor in graph.initializer if _is_matrix(tensor)}
        self.made: dict[str, list[str]] = {}

    def run(self) -> int:
        """Replace what can be replaced, and drop the weights that nothing reads any more; how many operators."""
        nodes, count = list[NodeProto](), 0
        for node in self.graph.node:
            found = self._replacement(node)
            count += bool(found)
            nodes += found or [node]
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        read = {name for node in nodes for name in node.input}
        for place in reversed(range(len(self.graph.initializer))):
            if self.graph.initializer[place].name not in read:
                del self.graph.initializer[place]
        return count

    def _replacement(self, node: NodeProto) -> list[NodeProto]:
        """The operators that stand for a node; none: it stays."""
        given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Gather" and node.input[0] in self.weights and given.get("axis", 0) == 0:
            return [self._gather(node)] if self.weights[node.input[0]].dims[1] % _BLOCK_SIZE == 0 else []
        if node.op_type not in {"MatMul", "Gemm"} or node.input[1] not in self.weights:
            return []
        if given.get("transA") or given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
            return []
        product = self._product(node, outputs_first=bool(given.get("transB")))
        if len(node.input) < 3 or not node.input[2]:
            return [product]
        product.output[0] = f"{node.output[0]}_product"
        added = helper.make_node("Add", [product.output[0], node.input[2]], [node.output[0]], name=f"{node.name}_bias")
        return [product, added]

    def _product(self, node: NodeProto, *, outputs_first: bool) -> NodeProto:
        sizes = list(self.weights[node.input[1]].dims)
        num_outputs, num_inputs = sizes if outputs_first else sizes[::-1]
        return helper.make_node(
            "MatMulNBits",
            [node.input[0], *self._blocks(node.input[1], outputs_first=outputs_first)],
            [node.output[0]],
            name=f"{node.name}_{self.bits}bits",
            domain=_DOMAIN,
            K=num_inputs,
            N=num_outputs,
            bits=self.bits,
            block_size=_BLOCK_SIZE,
            accuracy_level=_ACCURACY_LEVEL,
        )

    def _gather(self, node: NodeProto) -> NodeProto:
        packed, scales, zero_points = self._blocks(node.input[0], outputs_first=True, is_table=True)
        return helper.make_node(
            "GatherBlockQuantized",
            [packed, node.input[1], scales, zero_points],
            [node.output[0]],
            name=f"{node.name}_{self.bits}bits",
            domain=_DOMAIN,
            bits=self.bits,
            block_size=_BLOCK_SIZE,
            gather_axis=0,
            quantize_axis=1,
        )

    def _blocks(self, weight: str, *, outputs_first: bool, is_table: bool = False) -> list[str]:
        """Names of the packed numbers, scales and zero points of a weight, which are made once."""
        key = f"{weight}_{'table' if is_table else 'rows' if outputs_first else 'columns'}"
        if key not in self.made:
            array = numpy_helper.to_array(self.weights[weight])
            packed, scales, zero_points = _packed(array.T if outputs_first else array, self.bits)
            parts: list[NDArray[Any]] = [packed.reshape(len(packed), -1) if is_table else packed, scales, zero_points]
            self.made[key] = [f"{key}_{part}" for part in ("packed", "scales", "zero_points")]
            named = zip(parts, self.made[key], strict=True)
            self.graph.initializer.extend(numpy_helper.from_array(part, name) for part, name in named)
        return self.made[key]


def _is_matrix(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2 and math.prod(tensor.dims) >= _SMALLEST


def _packed(
    weight: NDArray[np.float32], bits: Bits
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """A weight (inputs, outputs) as ONNX Runtime's kernel packs it.

    Returns:
        Numbers (outputs, blocks, bytes), scales (outputs, blocks) and zero points (outputs, bytes).
    """
    num_inputs, num_outputs = weight.shape
    num_blocks = -(-num_inputs // _BLOCK_SIZE)
    spare = num_blocks * _BLOCK_SIZE - num_inputs
    whole = np.ascontiguousarray(np.pad(weight, ((0, spare), (0, 0))) if spare else weight)
    packed = np.zeros((num_outputs, num_blocks, _BLOCK_SIZE * bits // 8), dtype=np.uint8)
    scales = np.zeros((num_outputs, num_blocks), dtype=np.float32)
    zero_points = np.zeros((num_outputs, -(-num_blocks * bits // 8)), dtype=np.uint8)
    pack = getattr(kernels, f"quantize_matmul_{bits}bits")
    pack(packed, whole, scales, zero_points, _BLOCK_SIZE, num_outputs, num_inputs, False)
    return packed, scales, zero_points
