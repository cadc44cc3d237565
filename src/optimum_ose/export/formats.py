"""All ONNX files of a model that an `ExportConfig` asks for."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration import ExportConfig
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.export.agreement import choose_default
from optimum_ose.export.decoders import writes_sequences
from optimum_ose.export.half_precision import write_half_weights
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.pooling import chosen_pooling
from optimum_ose.export.quantization import quantize_dynamic_int8, quantize_static_int8
from optimum_ose.serialization import canonical_json, write_atomic
from optimum_ose.serving.graphs import DECODER, ENCODER, FULL, HALF, INT8, MODEL, main_file, onnx_file

_LOGGER = logging.getLogger(__name__)
RECORD = "ose/export.json"
"""Which file is served by default, where no benchmark has told better; both relative to the model folder."""


def write_formats(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    config: ExportConfig,
    *,
    calibration_rows: Callable[[], Sequence[Mapping[str, Any]]],
    warns: bool = True,
) -> None:
    """Write `onnx/model.onnx` and, if wanted, `onnx/model_quantized.onnx` and `onnx/model_fp16.onnx`; of a model that
    reads and writes `encoder_model` and `decoder_model_merged` with the same endings.

    `ose/export.json` names which of the first two is served by default: int8 if it answers as fp32 does.

    Args:
        model: what is exported.
        tokenizer: the model's; None for a model of images or sound.
        folder: where to.
        config: what is wanted.
        calibration_rows: gives rows as the tokenizer makes them; static int8 needs them, and int8 is compared with fp32
            on them. None: int8 is compared on random inputs.
        warns: whether a warning says that int8 is not the default. A rehearsal's student has random weights, of which
            this means nothing.

    Raises:
        ExportError: if the ONNX file does not compute what the model computes.
        InvalidConfigError: if static int8 is wanted without rows.
        UnsupportedModelError: if the model cannot be exported in this way.
    """
    if tokenizer is None and config.quantization == "static-int8":
        raise UnsupportedModelError(
            "Static int8 is calibrated on the tokens of texts", "the model takes none", "Use dynamic-int8"
        )
    graphs = (ENCODER, DECODER) if writes_sequences(model) else (MODEL,)
    _remove_stale(folder, config, graphs)
    rows = calibration_rows() if tokenizer is not None else ()
    pooling = chosen_pooling(model, config)
    export_onnx(model, tokenizer, folder, opset=config.opset, tolerance=config.tolerance, pooling=pooling)
    if config.quantization == "dynamic-int8":
        quantize_dynamic_int8(folder)
    elif config.quantization == "static-int8" and tokenizer is not None:
        quantize_static_int8(folder, rows, tokenizer=tokenizer)
    if config.half_weights:
        write_half_weights(folder)
    chosen = choose_default(folder, model, tokenizer, rows)
    write_atomic(folder / RECORD, canonical_json(chosen))
    if warns and chosen.agreement is not None and chosen.default_file == main_file(folder):
        hint = "" if len(rows) else ". Pass calibration_dataset to compare them on rows of the task"
        _LOGGER.warning("%s: the fp32 file stays the default%s", chosen.reason, hint)


def _remove_stale(folder: Path, config: ExportConfig, graphs: tuple[str, ...]) -> None:
    """Remove files of an earlier export that this one does not write: they hold other weights."""
    (folder / RECORD).unlink(missing_ok=True)
    written = {FULL: True, INT8: config.quantization != "none", HALF: config.half_weights}
    for graph in (MODEL, ENCODER, DECODER):
        for ending, is_written in written.items():
            if graph not in graphs or not is_written:
                (folder / onnx_file(graph, ending)).unlink(missing_ok=True)
