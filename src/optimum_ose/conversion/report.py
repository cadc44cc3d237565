"""What an export wrote: a record, and the same as a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from optimum_ose.report.table import aligned
from optimum_ose.serving.graphs import FULL, HALF, INT8, WEIGHTS_INT4, WEIGHTS_INT8

NAMES: Mapping[str, str] = MappingProxyType(
    {FULL: "fp32", INT8: "int8", WEIGHTS_INT8: "weight-int8", WEIGHTS_INT4: "weight-int4", HALF: "fp16"}
)
"""Ending of a file's name -> its format in reports."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One format of a model."""

    format: str
    """fp32, dynamic-int8, static-int8, weight-int8, weight-int4 or fp16."""
    file: str
    """Relative to the folder; of an encoder with a decoder, the decoder's."""
    num_bytes: int
    """On the disk, with the encoder's file and weights that lie beside."""
    worst_difference: float
    """Largest |ONNX - PyTorch| of an output at a token that is not padding, on random inputs."""
    largest_output: float
    """Largest |output| of PyTorch, the scale of that difference."""
    agreement: float | None
    """With the fp32 file, 1 at best: see `export.agreement.agreement`. None: it is the fp32 file."""
    latency_ms: float
    """Median time of a call, milliseconds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What `ose/export.json` holds of an export without a run."""

    task: str
    """What the model does."""
    model_class: str
    """Of Transformers."""
    num_parameters: int
    """Of the model."""
    files: tuple[ExportedFile, ...]
    """fp32 first."""
    default_file: str
    """The file that `OnnxPipeline` and the server take; relative to the folder."""
    reason: str
    """Why."""
    timed: str
    """What one call of the latency was, in words."""
    undisturbed: bool
    """Whether no other process used the CPU while latency was measured."""
    seconds: float
    """Of the whole export, loading and measurement included."""


def report_table(report: ExportReport) -> str:
    """The files with their size, difference to PyTorch, agreement and latency, and which one is served."""
    rows = [("file", "format", "MB", "difference", "agreement", "ms")]
    rows += [
        (
            item.file,
            item.format,
            f"{item.num_bytes / 1e6:,.1f}",
            f"{item.worst_difference:.1e} of {item.largest_output:.2g}",
            "" if item.agreement is None else f"{item.agreement:.3f}",
            f"{item.latency_ms:.2f}",
        )
        for item in report.files
    ]
    busy = "" if report.undisturbed else "; other processes used the CPU meanwhile"
    return "\n".join(
        [
            f"{report.model_class}, {report.num_parameters:,} parameters, for {report.task}; {report.seconds:.1f} s",
            *aligned(rows),
            "difference: the largest one to PyTorch on random inputs; agreement: with fp32, 1 at best",
            f"ms: median of {report.timed}{busy}",
            f"default file: {report.default_file} ({report.reason})",
        ]
    )
