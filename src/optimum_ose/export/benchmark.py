"""Teacher and student in every format, timed side by side in one run."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import ExportError
from optimum_ose.export.decoders import writes_sequences
from optimum_ose.export.example_inputs import described_input, rows_and_length, timing_inputs
from optimum_ose.export.latency import measure_latency
from optimum_ose.export.machine import describe_machine
from optimum_ose.export.memory import peak_memory_bytes
from optimum_ose.export.parity import open_session, session_feeds
from optimum_ose.export.sequence_parity import open_sequences
from optimum_ose.export.sequence_timing import sequence_timing_inputs, session_writer, torch_writer
from optimum_ose.modeling.prediction import evaluating, torch_threads
from optimum_ose.serving.graphs import FULL, INT8, files_beside, main_file

_ONNX_FILES = {"onnx-fp32": FULL, "onnx-int8": INT8}
"""Format -> the ending of its file's name."""
_NUM_WRITTEN = 16
"""Tokens that a model writes in each call, where nobody names a number."""
_NUM_TURNS = 10
"""Of each format in a round: what disturbs the machine for a moment meets all formats."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One model in one format."""

    model: str
    format: str
    size_bytes: int
    run: Callable[[], object]
    source: Path | None
    """The ONNX file; None for PyTorch."""


def benchmark_formats(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    *,
    tokenizer: PreTrainedTokenizerBase | None,
    teacher_folder: Path,
    student_folder: Path,
    num_threads: int = 1,
    batch_size: int = 1,
    sequence_length: int = 128,
    num_written: int | None = None,
    num_rounds: int = 5,
    block_seconds: float = 0.5,
    memory: bool = True,
) -> dict[str, Any]:
    """Time PyTorch fp32, ONNX fp32 and, where its file exists, ONNX int8, of both models in one interleaved run.

    Every format gets the same token ids, without padding, and the same number of threads. With one thread its CPU time
    is measured too, which does not grow when other processes take turns on the CPU.

    Args:
        teacher: the PyTorch teacher.
        student: the PyTorch student.
        tokenizer: of both; None for models of images or sound.
        teacher_folder: holds the teacher's `onnx/model.onnx` and perhaps `onnx/model_quantized.onnx`.
        student_folder: the same of the student.
        num_threads: intra-op threads.
        batch_size: sequences per call.
        sequence_length: tokens per sequence; cut to what both models can take.
        num_written: tokens that a model with a decoder of its own writes in each call, the most probable ones, whether
            or not a text ends before; None: 16.
        num_rounds: rounds, in each of which every format gets one block of calls.
        block_seconds: seconds of each format in a round, in ten turns.
        memory: also measure the peak memory of each format in a process of its own; not for images or sound.

    Returns:
        A JSON-able dict: the settings, one entry of `results` per model and format, the contention record, the machine.

    Raises:
        ExportError: if an fp32 ONNX file is missing.
    """
    settings = {"batch_size": batch_size, "num_threads": num_threads}
    inputs = _shared_inputs(teacher, student, tokenizer, batch_size=batch_size, sequence_length=sequence_length)
    _, length = rows_and_length(inputs)
    writes = writes_sequences(student)
    settings |= {"num_written": num_written or _NUM_WRITTEN} if writes else {}
    subjects = [
        *_subjects("teacher", teacher, Path(teacher_folder), inputs=inputs, settings=settings),
        *_subjects("student", student, Path(student_folder), inputs=inputs, settings=settings),
    ]
    with torch_threads(num_threads), evaluating(teacher), evaluating(student):
        report = measure_latency(
            {f"{subject.model} {subject.format}": subject.run for subject in subjects},
            num_rounds=num_rounds,
            block_seconds=block_seconds,
            num_turns=_NUM_TURNS,
            cpu_clock=time.thread_time if num_threads == 1 else None,
        )
    peaks = (
        _peaks({"teacher": teacher, "student": student}, subjects, sequence_length=length, **settings)
        if memory and tokenizer is not None and not writes
        else {}
    )
    results = [
        {
            "model": subject.model,
            "format": subject.format,
            **{key: value for key, value in asdict(latency).items() if key != "calls_per_second"},
            "round_p50_ms": list(latency.round_p50_ms),
            "round_cpu_ms": list(latency.round_cpu_ms),
            "sequences_per_second": latency.calls_per_second * batch_size,
            "size_bytes": subject.size_bytes,
            **({"peak_memory_bytes": peaks[name]} if peaks.get(name) is not None else {}),
        }
        for subject, (name, latency) in zip(subjects, report.latencies.items(), strict=True)
    ]
    return {
        **settings,
        "sequence_length": length,
        **described_input(student, num_frames=length),
        "results": results,
        "contention_checked": report.contention_checked,
        "num_discarded_blocks": report.num_discarded_blocks,
        "num_contended_blocks": report.num_contended_blocks,
        "undisturbed": report.undisturbed,
        "machine": describe_machine(),
    }


def _shared_inputs(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    batch_size: int,
    sequence_length: int,
) -> dict[str, torch.Tensor]:
    """The inputs of the model that takes the shorter sequences."""
    make = sequence_timing_inputs if writes_sequences(student) else timing_inputs
    options = [
        make(model, tokenizer, batch_size=batch_size, sequence_length=sequence_length) for model in (student, teacher)
    ]
    return min(options, key=lambda inputs: rows_and_length(inputs)[1])


def _subjects(
    name: str, model: PreTrainedModel, folder: Path, *, inputs: Mapping[str, torch.Tensor], settings: Mapping[str, int]
) -> Iterator[_Subject]:
    tensors = {key: tensor.to(model.device) for key, tensor in inputs.items()}
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    count = settings.get("num_written")
    call = (lambda: model(**tensors)) if count is None else torch_writer(model, tensors, count)
    yield _Subject(model=name, format="pytorch-fp32", size_bytes=size, run=call, source=None)
    if not (folder / main_file(folder)).is_file():
        raise ExportError(
            f"A benchmark needs the {name}'s onnx/model.onnx", f"{folder} has none", "Call export_onnx for it first"
        )
    for kind, ending in _ONNX_FILES.items():
        path = folder / main_file(folder, ending)
        if not path.is_file():
            continue
        files, threads = files_beside(path), settings["num_threads"]
        if count is None:
            session = open_session(path, num_threads=threads)
            run = _session_call(session, session_feeds(session, inputs))
        else:
            run = session_writer(open_sequences(*files, num_threads=threads), inputs, count)
        num_bytes = sum(file.stat().st_size for file in files)
        yield _Subject(model=name, format=kind, size_bytes=num_bytes, run=run, source=path)


def _session_call(session: Any, feeds: Mapping[str, Any]) -> Callable[[], object]:
    return lambda: session.run(None, feeds)


def _peaks(
    models: Mapping[str, PreTrainedModel],
    subjects: list[_Subject],
    *,
    batch_size: int,
    sequence_length: int,
    num_threads: int,
) -> dict[str, int | None]:
    """Peak memory in bytes by `model format`; each in a fresh process, after the timing."""
    peaks = {}
    with tempfile.TemporaryDirectory() as scratch:
        for subject in subjects:
            source = subject.source or Path(scratch) / subject.model
            if subject.source is None:
                models[subject.model].save_pretrained(source)
            peaks[f"{subject.model} {subject.format}"] = peak_memory_bytes(
                source, batch_size=batch_size, sequence_length=sequence_length, num_threads=num_threads
            )
    return peaks
