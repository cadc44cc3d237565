"""Candidates with random weights as ONNX files, and the timing of one file in one block."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.core.architecture import Architecture
from optimum_ose.export.example_inputs import timing_inputs
from optimum_ose.export.latency import measure_latency
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import open_session, session_feeds
from optimum_ose.export.quantization import quantize_dynamic_int8
from optimum_ose.modeling.reconfiguration import reconfigure
from optimum_ose.tasks import HEADLESS_TASK, task_named

_WARMUP = 3
"""Untimed calls of a fresh session."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One timing block of one file."""

    p50_ms: float
    """Median time of a call, milliseconds."""
    min_ms: float
    """Shortest call, milliseconds."""
    cpu_ms: float | None
    """Median CPU time of a call, milliseconds, where one thread does all the work; None with more threads."""
    num_calls: int
    """Calls that were timed."""
    contended: bool
    """Whether other processes used the CPU meanwhile, even in the repetition of the block."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TimedFile:
    """An ONNX file and what it is fed while it is timed."""

    path: Path
    inputs: Mapping[str, torch.Tensor]


def random_model(
    config: PretrainedConfig, architecture: Architecture, *, task: str | None, seed: int
) -> PreTrainedModel:
    """A model of an architecture with seeded random weights: latency does not depend on their values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = task_named(task or HEADLESS_TASK).auto_class.from_config(
            reconfigure(config, architecture), dtype=torch.float32
        )
    model.eval()
    return model


def export_for_timing(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    *,
    precision: Literal["fp32", "int8"],
    batch_size: int,
    sequence_length: int,
) -> TimedFile:
    """Write the ONNX file of a model as `export` writes it, and draw the tokens or pixels that it is timed with.

    Args:
        model: with any weights.
        tokenizer: the model's; None for an image model.
        folder: where the file goes; its fp32 file is removed if int8 is asked for.
        precision: of the file.
        batch_size: rows.
        sequence_length: tokens per row, cut to what the model can take.

    Raises:
        UnsupportedModelError: if the model cannot be exported.
        ExportError: if the file does not compute what the model computes.
    """
    path = export_onnx(model, tokenizer, folder)
    if precision == "int8":
        full, path = path, quantize_dynamic_int8(folder)
        full.unlink()
    return TimedFile(
        path=path, inputs=timing_inputs(model, tokenizer, batch_size=batch_size, sequence_length=sequence_length)
    )


def time_block(file: TimedFile, *, num_threads: int, block_seconds: float) -> Block:
    """Time one block of calls in a session of its own, after a warm-up; once more if other processes disturbed it.

    A session per block keeps the memory at one model, and averages over what differs from session to session.
    """
    session = open_session(file.path, num_threads=num_threads)
    feeds = session_feeds(session, file.inputs)
    cpu_seconds: list[float] = []

    def run() -> None:
        start = time.thread_time()
        session.run(None, feeds)
        cpu_seconds.append(time.thread_time() - start)

    report = measure_latency(
        {"file": run},
        num_rounds=1,
        warmup=_WARMUP,
        block_seconds=block_seconds,
        cpu_clock=time.thread_time if num_threads == 1 else None,
    )
    found = report.latencies["file"]
    return Block(
        p50_ms=found.p50_ms,
        min_ms=found.min_ms,
        cpu_ms=float(np.median(cpu_seconds[_WARMUP:])) * 1000.0 if num_threads == 1 else None,
        num_calls=found.num_calls,
        contended=report.num_contended_blocks > 0,
    )
