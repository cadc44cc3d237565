"""Measures the latency of candidates on this machine, in turns, and journals every timing block as it ends."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration.latency import LatencySetting
from optimum_ose.core.architecture import Architecture
from optimum_ose.export.example_inputs import timing_inputs
from optimum_ose.export.latency_probe import Block, TimedFile, export_for_timing, random_model, time_block
from optimum_ose.export.machine import describe_machine
from optimum_ose.journal import Journal
from optimum_ose.processes import num_usable_cores
from optimum_ose.progress import Listener

LATENCY_BLOCK = "latency block"
"""`kind` of a journal entry that holds a timing block."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The latency of one candidate or file."""

    latency_ms: float
    """Median over the blocks; see `summarized`."""
    slowest_ms: float
    """The slowest of the blocks that `latency_ms` is the median of."""
    num_contended_blocks: int
    """Blocks during which other processes used the CPU."""


@final
class LatencyMeter:
    """Measures candidates with random weights, at one setting. What the journal already holds is not measured again.

    Every block is one entry of the journal, on the disk before the next one begins. Blocks of another setting,
    processor or ONNX Runtime do not count.

    Args:
        config: of the maximum point; candidates are reconfigured from it.
        tokenizer: of the model; None for an image model.
        task: whose head the candidates get; None: none.
        setting: batch, threads, precision, and how much is measured.
        sequence_length: tokens per row.
        journal: of this question.
        scratch: folder for the ONNX files while they are timed; removed afterwards.
        listener: hears of each block.
    """

    def __init__(
        self,
        config: PretrainedConfig,
        tokenizer: PreTrainedTokenizerBase | None,
        *,
        task: str | None,
        setting: LatencySetting,
        sequence_length: int,
        journal: Journal,
        scratch: Path,
        listener: Listener,
    ) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self._task = task
        self._setting = setting
        self._journal = journal
        self._scratch = scratch
        self._listener = listener
        self.conditions = conditions(setting, sequence_length)
        self._key = {"kind": LATENCY_BLOCK, "conditions": self.conditions, "machine": _machine()}

    def measure(self, architectures: Sequence[Architecture]) -> list[Measured]:
        """Latency of each candidate: `num_rounds` blocks each, every round starting with another candidate.

        Raises:
            UnsupportedModelError: if a candidate cannot be exported.
            ExportError: if an exported file does not compute what the candidate computes.
        """
        known = self._known()
        missing = [
            (turn, architecture)
            for turn in range(self._setting.num_rounds)
            for architecture in _rotated(architectures, turn)
            if (architecture, turn) not in known
        ]
        try:
            if missing:
                self._measure_missing(missing)
                known = self._known()
        finally:  # also what a killed process left behind
            shutil.rmtree(self._scratch, ignore_errors=True)
        return [
            summarized([known[architecture, turn] for turn in range(self._setting.num_rounds)])
            for architecture in architectures
        ]

    def _measure_missing(self, missing: Sequence[tuple[int, Architecture]]) -> None:
        wanted = list(dict.fromkeys(architecture for _, architecture in missing))
        self._listener.stage("latency", len(wanted) + len(missing))
        files = {}
        for number, architecture in enumerate(wanted):
            files[architecture] = self._export(architecture, self._scratch / str(number))
            self._listener.advance(number + 1, "exported")
        for number, (turn, architecture) in enumerate(missing):
            block = _time(files[architecture], self._setting, self.conditions)
            self._journal.append({**self._key, "architecture": dict(architecture), "round": turn, **asdict(block)})
            self._listener.advance(len(wanted) + number + 1, f"{block.p50_ms:.2f} ms")
        self._listener.finish()

    def _export(self, architecture: Architecture, folder: Path) -> TimedFile:
        return export_for_timing(
            random_model(self._config, architecture, task=self._task, seed=0),
            self._tokenizer,
            folder,
            precision=self._setting.precision,
            batch_size=self._setting.batch_size,
            sequence_length=self.conditions["sequence_length"],
        )

    def _known(self) -> dict[tuple[Architecture, int], Block]:
        names = Block.__dataclass_fields__
        return {
            (Architecture(entry["architecture"]), entry["round"]): Block(**{name: entry[name] for name in names})
            for entry in self._journal
            if all(entry.get(name) == value for name, value in self._key.items())
        }


def conditions(setting: LatencySetting, sequence_length: int) -> dict[str, Any]:
    """What a latency depends on besides the machine, with the number of threads decided."""
    return {
        "batch_size": setting.batch_size,
        "num_threads": setting.num_threads or num_usable_cores(),
        "precision": setting.precision,
        "sequence_length": sequence_length,
    }


def measure_file(
    path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    setting: LatencySetting,
    sequence_length: int,
) -> Measured:
    """Latency of a finished ONNX file at a setting; the precision is the file's own.

    Args:
        path: the file.
        model: that it was exported from.
        tokenizer: of the model; None for an image model.
        setting: batch, threads, and how much is measured.
        sequence_length: tokens per row.
    """
    inputs = timing_inputs(model, tokenizer, batch_size=setting.batch_size, sequence_length=sequence_length)
    return time_file(TimedFile(path=path, inputs=inputs), setting=setting, found=conditions(setting, sequence_length))


def time_file(file: TimedFile, *, setting: LatencySetting, found: Mapping[str, Any]) -> Measured:
    """Latency of a file under the conditions found, in `num_rounds` blocks."""
    return summarized([_time(file, setting, found) for _ in range(setting.num_rounds)])


def summarized(blocks: Sequence[Block]) -> Measured:
    """The latency of a file from its timing blocks: the median of the medians of the undisturbed ones.

    If other processes disturbed every block: the median of the CPU times where one thread does all the work, else the
    shortest call of all, because disturbance only adds time.
    """
    quiet = [block.p50_ms for block in blocks if not block.contended]
    cpu = [block.cpu_ms for block in blocks if block.cpu_ms is not None]
    counted = quiet or cpu or [min(block.min_ms for block in blocks)]
    return Measured(
        latency_ms=float(np.median(counted)),
        slowest_ms=max(counted),
        num_contended_blocks=sum(block.contended for block in blocks),
    )


def _machine() -> dict[str, Any]:
    """What makes a journaled latency useless elsewhere: processor and engine."""
    facts = describe_machine()
    return {"cpu": facts.get("cpu"), "onnxruntime": facts["libraries"]["onnxruntime"]}


def _time(file: TimedFile, setting: LatencySetting, found: Mapping[str, Any]) -> Block:
    return time_block(file, num_threads=found["num_threads"], block_seconds=setting.block_seconds)


def _rotated(architectures: Sequence[Architecture], turn: int) -> list[Architecture]:
    start = turn % max(len(architectures), 1)
    return [*architectures[start:], *architectures[:start]]
