"""Measures the files of an export: size, difference to PyTorch, agreement with fp32, latency."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimum_ose.configuration import ExportConfig
from optimum_ose.conversion.loading import Source
from optimum_ose.conversion.report import NAMES, ExportedFile
from optimum_ose.export.agreement import agreement
from optimum_ose.export.decoders import writes_sequences
from optimum_ose.export.example_inputs import rows_and_length, timing_inputs
from optimum_ose.export.formats import asked_endings
from optimum_ose.export.latency import LatencyReport, measure_latency
from optimum_ose.export.parity import Parity, measure_parity, open_session, session_feeds
from optimum_ose.export.pooling import chosen_pooling
from optimum_ose.export.sequence_parity import measure_sequence_parity, open_sequences
from optimum_ose.export.sequence_timing import sequence_timing_inputs, session_writer
from optimum_ose.serving.graphs import FULL, INT8, files_beside, main_file, stored_files

_LENGTH, _NUM_WRITTEN = 128, 16
"""Tokens that are read, and of a model with a decoder of its own written, in a timed call."""
_ROUNDS = 3


def measured_files(
    source: Source, folder: Path, config: ExportConfig, rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[ExportedFile, ...], LatencyReport, str]:
    """The files of an export, fp32 first, then in the order in which one of them becomes the default.

    Args:
        source: what was exported.
        folder: where it was written.
        config: how.
        rows: token rows of the task on which formats are compared; none: random inputs.

    Returns:
        The files, the measurement of their latency, and what one timed call is, in words.
    """
    endings = (FULL, *asked_endings(config))
    calls, what = _calls(source, folder, endings)
    latency = measure_latency(calls, num_rounds=_ROUNDS, block_seconds=config.block_seconds)
    files = []
    for ending in endings:
        path = folder / main_file(folder, ending)
        parity = _parity(source, path, config)
        files.append(
            ExportedFile(
                format=config.quantization if ending == INT8 else NAMES[ending],
                file=main_file(folder, ending),
                num_bytes=sum(file.stat().st_size for file in stored_files(path)),
                worst_difference=parity.worst_difference,
                largest_output=parity.largest_output,
                agreement=_agreement(source, folder, rows, ending),
                latency_ms=latency.latencies[ending].p50_ms,
            )
        )
    return tuple(files), latency, what


def _parity(source: Source, path: Path, config: ExportConfig) -> Parity:
    if writes_sequences(source.model):
        encoder, decoder = files_beside(path)
        return measure_sequence_parity(source.model, encoder, decoder, source.tokenizer)
    pooling = chosen_pooling(source.model, config)
    return measure_parity(source.model, path, source.tokenizer, pooling=pooling)


def _agreement(source: Source, folder: Path, rows: Sequence[Mapping[str, Any]], ending: str) -> float | None:
    return None if ending == FULL else agreement(folder, source.model, source.tokenizer, rows, ending=ending)


def _calls(source: Source, folder: Path, endings: Sequence[str]) -> tuple[dict[str, Callable[[], object]], str]:
    """A call of each format on the same input, in one thread, by the ending of its file's name."""
    model, calls = source.model, dict[str, Callable[[], object]]()
    if writes_sequences(model):
        inputs = sequence_timing_inputs(model, source.tokenizer, batch_size=1, sequence_length=_LENGTH)
        for ending in endings:
            files = files_beside(folder / main_file(folder, ending))
            calls[ending] = session_writer(open_sequences(*files, num_threads=1), inputs, _NUM_WRITTEN)
        length = rows_and_length(inputs)[1]
        return calls, f"one text of {length} tokens and {_NUM_WRITTEN} written tokens in one thread"
    inputs = timing_inputs(model, source.tokenizer, batch_size=1, sequence_length=_LENGTH)
    for ending in endings:
        session = open_session(folder / main_file(folder, ending), num_threads=1)
        calls[ending] = _session_call(session, session_feeds(session, inputs))
    size = " x ".join(f"{number:,}" for number in next(iter(inputs.values())).shape[1:])
    return (
        calls,
        f"one row of {f'{size} tokens' if source.tokenizer else f'{next(iter(inputs))} ({size})'} in one thread",
    )


def _session_call(session: Any, feeds: Mapping[str, Any]) -> Callable[[], object]:
    return lambda: session.run(None, feeds)
