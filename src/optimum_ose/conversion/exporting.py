"""Any model as an ordinary folder with ONNX files, without a search or a run."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.configuration import ExportConfig
from optimum_ose.conversion.calibration import calibration_rows
from optimum_ose.conversion.loading import Source, given_source, load_source
from optimum_ose.conversion.measuring import measured_files
from optimum_ose.conversion.report import ExportReport
from optimum_ose.conversion.task_choice import chosen_task
from optimum_ose.data.given import plain_or_none
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError, UnsupportedModelError
from optimum_ose.export.agreement import judged_default
from optimum_ose.export.formats import RECORD, asked_endings, require_formats, write_files
from optimum_ose.export.onnx_export import require_exportable_weights
from optimum_ose.guards import require_config, require_kind, require_path
from optimum_ose.modeling.health import require_weights
from optimum_ose.modeling.loading import load_config
from optimum_ose.modeling.source import find_file, require_source
from optimum_ose.optimizer.folders import save_into
from optimum_ose.output_folder import RUN_FILE, claim_for_export, only_process, require_exportable_into
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.processes import require_single_process
from optimum_ose.progress import Listener, SilentListener, working
from optimum_ose.serialization import canonical_json, write_atomic
from optimum_ose.tasks.parts.task import Task

_COMPANIONS = ("config_sentence_transformers.json", "LICENSE")


def export_onnx(
    model: str | os.PathLike[str] | PreTrainedModel,
    processing_class: Preprocessor | None,
    save_dir: str | os.PathLike[str],
    config: ExportConfig | None = None,
    *,
    task: str | None = None,
    calibration_dataset: Dataset | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
    listener: Listener | None = None,
) -> ExportReport:
    """Write any model as an ordinary model folder with ONNX files that are compared with it. Nothing is trained.

    The folder holds the model in safetensors, what makes its inputs, `onnx/model.onnx` and the further files that
    `config` asks for; of sentence-transformers also the pooling. `OnnxPipeline`, the server, transformers,
    sentence-transformers, transformers.js and ORTModel read it. The first quantized file that answers as fp32 does is
    served by default (`ose/export.json`).

    Args:
        model: folder, Hub id or folder of sentence-transformers; or a model in memory, in float32.
        processing_class: tokenizer, image processor, feature extractor or processor; None: that of the folder.
        save_dir: folder to write; empty, or written by an earlier export.
        config: which files are written beside fp32, and how.
        task: of the model; None: the class in its config tells.
        calibration_dataset: rows of the task, such as the column `text`: static int8 needs them, and formats are
            compared on them. None: they are compared on random inputs.
        trust_remote_code: run code that comes with the model.
        revision: branch, tag or commit on the Hub.
        listener: hears of the progress.

    Returns:
        The files with their sizes, differences and latency.

    Raises:
        ExportError: if the fp32 file does not compute what the model computes, or a format has no use for the model.
        InvalidConfigError: if files are missing or damaged, the task is not told, or static int8 lacks rows.
        InvalidDataError: if the rows lack a column.
        OutputFolderError: if the folder holds something else, or cannot be written.
        UnsupportedModelError: if the model, its task or a format for it is not handled.
    """
    start, heard = time.perf_counter(), listener or SilentListener()
    require_single_process("export")
    require_config(config, ExportConfig)
    settings, folder = config or ExportConfig(), require_path(save_dir, "save_dir")
    rows = plain_or_none(calibration_dataset, "calibration_dataset")
    name = None if isinstance(model, PreTrainedModel) else require_source(model)
    _require_free(folder, getattr(model, "name_or_path", None) if name is None else name)
    remote: Any = {"trust_remote_code": trust_remote_code, "revision": revision}
    if name is not None:
        model_config = load_config(name, **remote)
        definition = chosen_task(model_config, task, source=name)
        _require_wanted(definition, settings, rows)  # before the weights are read
    pooling = None if settings.pooling == "none" else settings.pooling
    with working(heard, "loading the model", None):
        if name is not None:
            source = load_source(name, model_config, definition, processor=processing_class, pooling=pooling, **remote)
        else:
            require_kind(model, PreTrainedModel, "model", "Pass a model of Transformers, or the name of one")
            require_weights(model, "model")  # type: ignore[arg-type]  # checked
            source = given_source(model, processing_class, task, pooling=pooling)  # type: ignore[arg-type]
            _require_wanted(source.task, settings, rows)
        require_exportable_weights(source.model)
        require_formats(source.model, source.tokenizer, settings)
        compared = () if rows is None or source.tokenizer is None else calibration_rows(source, rows)
    claim_for_export(folder, teacher=name)
    with only_process(folder):
        return _write(source, folder, settings, compared, heard, start)


def _require_free(folder: Path, source: str | None) -> None:
    if (folder / RUN_FILE).is_file():
        raise OutputFolderError(
            f"The folder {folder} must be empty or hold an earlier export",
            "it holds a run",
            "Choose another folder, or leave out --model to export the student of that run",
        )
    require_exportable_into(folder, teacher=source or None)


def _require_wanted(task: Task, config: ExportConfig, rows: Dataset | None) -> None:
    """Refuse what the task alone rules out."""
    if config.pooling != "none" and not task.encodes_texts:
        raise UnsupportedModelError(
            "Pooling needs a model that makes vectors of texts", f"this one is for {task.name}", "Leave pooling out"
        )
    if config.quantization != "static-int8":
        return
    if task.continues_texts or task.has_two_stacks or task.inputs.processor_name != "a tokenizer":
        raise UnsupportedModelError(
            "Static int8 is calibrated on the tokens of whole texts",
            f"a model for {task.name} has none",
            "Use dynamic-int8, or weights in 8 or 4 bits",
        )
    if rows is None:
        raise InvalidConfigError(
            "Static int8 needs calibration rows of the task",
            "none were given",
            "Name a file of them (--calibration texts.csv; from Python calibration_dataset), or use dynamic-int8",
        )


def _copy_companions(source: Source, folder: Path) -> None:
    """Files that say how the model is asked, and under which terms."""
    for name in _COMPANIONS if source.name is not None else ():
        path = find_file(str(source.name), name)
        if path is not None:
            write_atomic(folder / name, path.read_text(encoding="utf-8"))


def _write(
    source: Source,
    folder: Path,
    config: ExportConfig,
    rows: Sequence[Mapping[str, Any]],
    listener: Listener,
    start: float,
) -> ExportReport:
    (folder / RECORD).unlink(missing_ok=True)
    with working(listener, "writing the model and its ONNX files", None):
        save_into(source.model, source.processor, folder, max_length=source.max_length)
        _copy_companions(source, folder)
        write_files(source.model, source.tokenizer, folder, config, calibration_rows=lambda: rows)
    with working(listener, "comparing and timing the files", None):
        files, latency, timed = measured_files(source, folder, config, rows)
    candidates = {
        ending: item.agreement
        for ending, item in zip(asked_endings(config), files[1:], strict=True)
        if item.agreement is not None and item.format != "fp16"
    }
    chosen = judged_default(folder, candidates, on_rows=bool(len(rows)))
    report = ExportReport(
        task=source.task.name,
        model_class=type(source.model).__name__,
        num_parameters=sum(tensor.numel() for tensor in source.model.parameters()),
        files=files,
        default_file=chosen.default_file,
        reason=chosen.reason,
        timed=timed,
        undisturbed=latency.undisturbed,
        seconds=time.perf_counter() - start,
    )
    write_atomic(folder / RECORD, canonical_json(report))
    return report
