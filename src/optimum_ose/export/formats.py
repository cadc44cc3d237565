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
from optimum_ose.export.past import past_shapes
from optimum_ose.export.pooling import chosen_pooling
from optimum_ose.export.quantization import quantize_dynamic_int8, quantize_static_int8
from optimum_ose.export.weight_only import Bits, quantize_weights, require_weight_only
from optimum_ose.serialization import canonical_json, write_atomic
from optimum_ose.serving.graphs import (
    DECODER,
    ENCODER,
    ENDINGS,
    FULL,
    HALF,
    INT8,
    MODEL,
    WEIGHTS_INT4,
    WEIGHTS_INT8,
    data_file,
    main_file,
    onnx_file,
)

_BITS: Mapping[str, Bits] = {"int8": 8, "int4": 4}
"""Of a weight, by its name in `ExportConfig.weight_only`."""
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
    """Write what `write_files` writes, and `ose/export.json`, which names the file that is served by default.

    That is int8 if it answers as fp32 does, else fp32.

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
    rows = write_files(model, tokenizer, folder, config, calibration_rows=calibration_rows)
    chosen = choose_default(folder, model, tokenizer, rows)
    write_atomic(folder / RECORD, canonical_json(chosen))
    if warns and chosen.agreement is not None and chosen.default_file == main_file(folder):
        hint = "" if len(rows) else ". Pass calibration_dataset to compare them on rows of the task"
        _LOGGER.warning("%s: the fp32 file stays the default%s", chosen.reason, hint)


def write_files(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    config: ExportConfig,
    *,
    calibration_rows: Callable[[], Sequence[Mapping[str, Any]]],
) -> Sequence[Mapping[str, Any]]:
    """Write `onnx/model.onnx` and, if wanted, `model_quantized.onnx`, `model_int8.onnx`, `model_q4.onnx` and
    `model_fp16.onnx` beside it; of a model that reads and writes `encoder_model` and `decoder_model_merged` with the
    same endings. Those of an earlier export are removed first.

    Args: those of `write_formats`.

    Returns:
        The calibration rows; none for images and sound.

    Raises:
        ExportError, InvalidConfigError, UnsupportedModelError: as `write_formats`.
    """
    require_formats(model, tokenizer, config)
    graphs = (ENCODER, DECODER) if writes_sequences(model) else (MODEL,)
    _remove_stale(folder, config, graphs)
    rows = calibration_rows() if tokenizer is not None else ()
    pooling = chosen_pooling(model, config)
    export_onnx(model, tokenizer, folder, opset=config.opset, tolerance=config.tolerance, pooling=pooling)
    if config.quantization == "dynamic-int8":
        quantize_dynamic_int8(folder)
    elif config.quantization == "static-int8" and tokenizer is not None:
        quantize_static_int8(folder, rows, tokenizer=tokenizer)
    for name in config.weight_only:
        quantize_weights(folder, _BITS[name])
    if config.half_weights:
        write_half_weights(folder)
    return rows


def require_formats(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, config: ExportConfig) -> None:
    """Pass if a model can have the files that are wanted, as far as that shows before any is written.

    Raises:
        UnsupportedModelError: if static int8 is wanted of a model of images, sound, or with a past, or ONNX Runtime is
            too old for weights in blocks, or the model has none for them.
    """
    if config.quantization == "static-int8":
        _require_static(model, tokenizer)
    for name in config.weight_only:
        require_weight_only(_BITS[name], model)


def _require_static(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
    if tokenizer is None:
        raise UnsupportedModelError(
            "Static int8 is calibrated on the tokens of texts", "the model takes none", "Use dynamic-int8"
        )
    if writes_sequences(model):
        raise UnsupportedModelError(
            "Quantization to static int8 needs a model of one ONNX file",
            f"{type(model).__name__} becomes an encoder and a decoder",
            "Use dynamic-int8, or weights in 8 or 4 bits",
        )
    if past_shapes(model):
        raise UnsupportedModelError(
            "Static int8 is calibrated on whole texts",
            f"{type(model).__name__} writes token after token",
            "Use dynamic-int8, or weights in 8 or 4 bits",
        )


def _remove_stale(folder: Path, config: ExportConfig, graphs: tuple[str, ...]) -> None:
    """Remove files of an earlier export that this one does not write: they hold other weights."""
    (folder / RECORD).unlink(missing_ok=True)
    written = {FULL, *asked_endings(config)}
    for graph in (MODEL, ENCODER, DECODER):
        for ending in ENDINGS:
            if graph not in graphs or ending not in written:
                path = folder / onnx_file(graph, ending)
                path.unlink(missing_ok=True)
                data_file(path).unlink(missing_ok=True)


def asked_endings(config: ExportConfig) -> tuple[str, ...]:
    """Endings of the names of the files beside fp32, in the order in which one of them becomes the default."""
    quantized = (INT8,) if config.quantization != "none" else ()
    weights = tuple({"int8": WEIGHTS_INT8, "int4": WEIGHTS_INT4}[name] for name in config.weight_only)
    return (*quantized, *weights, *((HALF,) if config.half_weights else ()))
