"""An int8 ONNX file made from the fp32 one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from optimum_ose.exceptions import ExportError, InvalidConfigError, UnsupportedModelError
from optimum_ose.export.graph_files import atomic_graph, is_large, save_graph
from optimum_ose.export.merging import is_merged, merge, split
from optimum_ose.export.parity import open_session
from optimum_ose.preprocessing import choices_apart, holds_choices
from optimum_ose.serving.graphs import INT8, files_beside, main_file
from optimum_ose.wording import listed

_PRODUCTS = ["MatMul", "Gemm"]
_MAX_CALIBRATION_ROWS, _BATCH_SIZE = 256, 16


def quantize_dynamic_int8(folder: Path) -> Path:
    """Write `folder/onnx/model_quantized.onnx` from `folder/onnx/model.onnx`; of an encoder with a decoder both files.

    Weights and embeddings become int8; activations are quantized while the model runs, so no calibration data is
    needed. How much accuracy this costs is for the task's metric to say. Weights have a scale for each output channel
    and the range of 7 bits: CPUs without VNNI add products of two bytes in 16 bits, which 8 bits overflow.

    Source: "When and why do I need to try U8U8" in ONNX Runtime's page on quantization.

    Raises:
        ExportError: if there is no fp32 file.
        OutputFolderError: if the file cannot be written.
    """
    for source, target in _sources_and_targets(folder):
        with atomic_graph(target) as temporary:
            graph = onnx.load(source)
            if is_merged(graph):
                parts = [_quantized(part, temporary) for part in split(graph)]
                save_graph(merge(*parts), temporary)
            else:
                save_graph(_quantized(graph, temporary), temporary)
            open_session(temporary)
    return target


def _quantized(graph: onnx.ModelProto, temporary: Path) -> onnx.ModelProto:
    """A graph in dynamic int8; written to a temporary file on the way, which is read again."""
    # Without this mark the quantizer configures the caller's root logger to suggest offline fusion, which is slower.
    add_pre_process_metadata(graph)
    quantize_dynamic(
        graph,
        temporary,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=is_large(graph),
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    return onnx.load(temporary)


def quantize_static_int8(
    folder: Path, rows: Sequence[Mapping[str, Any]], *, tokenizer: PreTrainedTokenizerBase
) -> Path:
    """Write `folder/onnx/model_quantized.onnx` from `folder/onnx/model.onnx`, the scales of activations fixed.

    Their least and largest values are taken from calibration rows. The weights of products have a scale for each output
    channel, an embedding one for its table. Unlike with dynamic int8, an answer does not depend on the texts that share
    its batch.

    Args:
        folder: of the model.
        rows: calibration rows as the tokenizer makes them; at most 256 are used, evenly spaced.
        tokenizer: pads.

    Raises:
        ExportError: if there is no fp32 file.
        InvalidConfigError: if there are no rows.
        UnsupportedModelError: if the model takes other inputs than the tokens of texts.
        OutputFolderError: if the file cannot be written.
    """
    ((source, target),) = _sources_and_targets(folder, "static int8")
    graph = onnx.load(source)
    add_pre_process_metadata(graph)
    if not len(rows):
        raise InvalidConfigError(
            "Static int8 needs calibration rows", "there are none", "Give some rows of the task, or use dynamic-int8"
        )
    weights = {tensor.name for tensor in graph.graph.initializer}
    names = [item.name for item in graph.graph.input if item.name not in weights]
    if not set(names) <= set(tokenizer.model_input_names):
        raise UnsupportedModelError(
            f"Static int8 is calibrated on {', '.join(tokenizer.model_input_names)}",
            f"the model takes {', '.join(names)}",
            "Use dynamic-int8",
        )
    step = -(-len(rows) // _MAX_CALIBRATION_ROWS)
    with atomic_graph(target) as temporary:
        quantize_static(
            graph,
            temporary,
            _Reader([rows[index] for index in range(0, len(rows), step)], tokenizer, names),
            op_types_to_quantize=[*_PRODUCTS, "Gather"],
            nodes_to_exclude=[
                node.name for node in graph.graph.node if node.op_type in _PRODUCTS and node.input[1] not in weights
            ],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            use_external_data_format=is_large(graph),
            extra_options={
                "DefaultTensorType": onnx.TensorProto.FLOAT,
                "OpTypesToExcludeOutputQuantization": _PRODUCTS,
            },
        )
        save_graph(onnx.load(temporary), temporary)
        open_session(temporary)
    return target


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Batches of rows, the shortest first, as the quantizer asks for them."""

    def __init__(self, rows: list[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, names: list[str]) -> None:
        pad = DataCollatorWithPadding(tokenizer, return_tensors="np")
        has_choices = bool(rows) and holds_choices(rows[0]["input_ids"])
        apart = (part for row in rows for part in choices_apart({name: row[name] for name in names}))
        inputs = sorted(apart, key=lambda row: len(row["input_ids"]))
        batches = (pad(inputs[start : start + _BATCH_SIZE]) for start in range(0, len(inputs), _BATCH_SIZE))
        self._batches = (
            {name: array[:, None] if has_choices else array for name, array in batch.items()} for batch in batches
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)


def _sources_and_targets(folder: Path, one_graph: str | None = None) -> list[tuple[Path, Path]]:
    """Each fp32 file of a folder, the one that names the format last, and the int8 file that is made of it.

    Args:
        folder: of the model.
        one_graph: what needs a model of one file; None: nothing does.
    """
    sources = files_beside(folder / main_file(folder))
    if not all(source.is_file() for source in sources):
        raise ExportError(
            f"Quantization starts from {listed(f'onnx/{source.name}' for source in sources)}",
            f"{folder} has none",
            "Call export_onnx first",
        )
    if one_graph is not None and len(sources) > 1:
        raise UnsupportedModelError(
            f"Quantization to {one_graph} needs a model of one ONNX file",
            f"this one has {listed(source.name for source in sources)}",
            "Use dynamic-int8",
        )
    return [(source, source.with_name(f"{source.stem}{INT8}.onnx")) for source in sources]
