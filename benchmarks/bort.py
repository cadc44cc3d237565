"""Owns the latencies of Bort's claims: BERT-large, BERT-base, both Bort tuples and three small BERTs, side by side.

Every model has random weights and a two-label head, is exported by `export`, and is timed in PyTorch fp32, ONNX fp32
and ONNX int8, all in turns in one run: full rows of 128 tokens. Bars: the int8 file of each Bort tuple against
BERT-large in PyTorch fp32 and in ONNX fp32, at batch 1. Blocks in which others used the CPU are timed again.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedModel,
)
from word_tokenizer import word_tokenizer

from optimum_ose import reconfigure
from optimum_ose.export.example_inputs import timing_inputs
from optimum_ose.export.latency import Latency, LatencyReport, measure_latency
from optimum_ose.export.machine import describe_machine
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import open_session, session_feeds
from optimum_ose.export.quantization import quantize_dynamic_int8
from optimum_ose.modeling.bort import BORT_AS_SIZED, BORT_RELEASED, bort_config
from optimum_ose.processes import num_usable_cores

FORMATS = ("pytorch-fp32", "onnx-fp32", "onnx-int8")
BORTS = ("Bort as released", "Bort as sized")
BARS = {"pytorch-fp32": 70.0, "onnx-fp32": 30.0}
"""Acceptance: least ratio of BERT-large in this format to each Bort tuple in ONNX int8, at batch 1."""
CLAIMS = {"BERT-large": 20.0, "BERT-base": 7.9}
"""Published speed-ups of Bort on a CPU (arXiv:2010.10499)."""
SEQUENCE_LENGTH = 128


def main() -> int:
    """Run the benchmark; the exit code is 1 if a bar is broken."""
    options = _parse()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder = options.files or Path(scratch)
        for name in options.models:
            _export(name, folder / name.replace(" ", "-").lower())
        print(f"exported; loading, {options.threads} threads", flush=True)
        reports = {size: _measure(options, folder, size) for size in options.batch_sizes}
    for size, report in reports.items():
        print(f"\n{table(report, size)}")
    print(f"\n{claims(reports)}")
    lines, broken = verdicts(reports)
    print("\n" + "\n".join(lines))
    if options.output:
        facts = {"machine": describe_machine(), "num_threads": options.threads}
        facts |= {f"batch {size}": asdict(report) for size, report in reports.items()}
        options.output.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return int(broken)


def configs() -> dict[str, PretrainedConfig]:
    """The models by name; sizes as published."""

    def bert(depth: int, heads: int, width: int, inner: int) -> PretrainedConfig:
        return BertConfig(
            num_hidden_layers=depth, num_attention_heads=heads, hidden_size=width, intermediate_size=inner
        )

    return {
        "BERT-large": bert(24, 16, 1024, 4096),
        "BERT-base": bert(12, 12, 768, 3072),
        "Bort as released": reconfigure(bort_config(), BORT_RELEASED),
        "Bort as sized": reconfigure(bort_config(), BORT_AS_SIZED),
        "DistilBERT": DistilBertConfig(),
        "MiniLM-L6": bert(6, 12, 384, 1536),
        "TinyBERT-4": bert(4, 12, 312, 1200),
    }


def speedup(report: LatencyReport, slow: str, fast: str) -> float:
    """How many times shorter the shortest call of `fast` is; both are named `model format`."""
    return report.latencies[slow].min_ms / report.latencies[fast].min_ms


def table(report: LatencyReport, batch_size: int) -> str:
    """Shortest and median call of every model and format."""
    lines = [
        f"| batch {batch_size}: shortest (median) call, ms | " + " | ".join(FORMATS) + " |",
        "|---" * (len(FORMATS) + 1) + "|",
    ]
    for name in dict.fromkeys(key.rpartition(" ")[0] for key in report.latencies):
        cells = [report.latencies[f"{name} {kind}"] for kind in FORMATS]
        lines.append(f"| {name} | " + " | ".join(f"{cell.min_ms:.1f} ({cell.p50_ms:.1f})" for cell in cells) + " |")
    checked = "contention checked" if report.contention_checked else "contention unknown"
    repeated = f"{report.num_discarded_blocks} disturbed blocks repeated, {report.num_contended_blocks} kept disturbed"
    return "\n".join([*lines, "", f"{checked}: {repeated}"])


def claims(reports: Mapping[int, LatencyReport]) -> str:
    """What of the published speed-ups is seen at equal engine and precision."""
    lines = []
    for size, report in reports.items():
        for bort in BORTS:
            for slow, published in CLAIMS.items():
                if {f"{name} {FORMATS[0]}" for name in (bort, slow)} <= set(report.latencies):
                    found = [speedup(report, f"{slow} {kind}", f"{bort} {kind}") for kind in FORMATS]
                    held = [kind for kind, ratio in zip(FORMATS, found, strict=True) if ratio >= published]
                    lines.append(
                        f"| {bort}, batch {size} | {slow} | {published}x | "
                        + " | ".join(f"{ratio:.1f}x" for ratio in found)
                        + f" | {', '.join(held) or 'nowhere'} |"
                    )
    head = ["| | against | published | " + " | ".join(FORMATS) + " | holds in |", "|---" * (len(FORMATS) + 4) + "|"]
    return "\n".join(["Equal engine, equal precision:", "", *head, *lines])


def verdicts(reports: Mapping[int, LatencyReport]) -> tuple[list[str], bool]:
    """A line for each bar that was measured, and whether one is broken."""
    lines, broken = [], False
    for bort in BORTS:
        for kind, bar in BARS.items():
            slow, fast = f"BERT-large {kind}", f"{bort} onnx-int8"
            if 1 in reports and {slow, fast} <= set(reports[1].latencies):
                ratio = speedup(reports[1], slow, fast)
                broken |= ratio < bar
                lines.append(
                    f"{fast} against {slow}: {ratio:.1f}x (bar {bar:.0f}x){'' if ratio >= bar else '  BROKEN'}"
                )
    return lines, broken


def _measure(options: argparse.Namespace, folder: Path, batch_size: int) -> LatencyReport:
    runners: dict[str, Callable[[], object]] = {}
    for name in options.models:
        runners |= _runners(name, folder / name.replace(" ", "-").lower(), batch_size, options.threads)
    gc.collect()
    print(f"measuring batch {batch_size}, load {os.getloadavg()[0]:.1f}", flush=True)
    if options.cpu_time:
        return _cpu_time(runners, options.rounds)
    return measure_latency(runners, num_rounds=options.rounds, block_seconds=options.block_seconds, warmup=2)


def _cpu_time(runners: Mapping[str, Callable[[], object]], num_rounds: int) -> LatencyReport:
    """CPU time of the calling thread, which does all the work: what waits for a busy machine does not count."""
    milliseconds: dict[str, list[float]] = {name: [] for name in runners}
    for name, run in [*runners.items()] * (num_rounds + 1):  # the first round warms up
        for _ in range(3):
            start = time.thread_time()
            run()
            milliseconds[name].append((time.thread_time() - start) * 1000.0)
    kept = {name: np.array(found[3:]) for name, found in milliseconds.items()}
    latencies = {
        name: Latency(
            p50_ms=float(np.median(found)),
            p95_ms=float(np.percentile(found, 95)),
            min_ms=float(found.min()),
            calls_per_second=1000.0 / float(found.mean()),
            num_calls=len(found),
        )
        for name, found in kept.items()
    }
    return LatencyReport(
        latencies=latencies, contention_checked=False, num_discarded_blocks=0, num_contended_blocks=0, undisturbed=False
    )


def _runners(name: str, folder: Path, batch_size: int, num_threads: int) -> dict[str, Callable[[], object]]:
    """A call of each format of a model, by `model format`; all take the same token ids."""
    config = configs()[name]
    model = _model(config)
    inputs = timing_inputs(
        model, word_tokenizer(config.vocab_size), batch_size=batch_size, sequence_length=SEQUENCE_LENGTH
    )
    runners: dict[str, Callable[[], object]] = {f"{name} {FORMATS[0]}": lambda: _call(model, inputs)}
    for kind, file in zip(FORMATS[1:], ("model.onnx", "model_quantized.onnx"), strict=True):
        session = open_session(folder / "onnx" / file, num_threads=num_threads)
        feeds = session_feeds(session, inputs)
        runners[f"{name} {kind}"] = lambda session=session, feeds=feeds: session.run(None, feeds)  # type: ignore[misc]
    return runners


def _call(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> Any:
    with torch.inference_mode():
        return model(**inputs)


def _export(name: str, folder: Path) -> None:
    """Both ONNX files of a model, unless they are there."""
    if not (folder / "onnx" / "model_quantized.onnx").is_file():
        print(f"exporting {name}", flush=True)
        config = configs()[name]
        export_onnx(_model(config), word_tokenizer(config.vocab_size), folder)
        quantize_dynamic_int8(folder)


def _model(config: PretrainedConfig) -> PreTrainedModel:
    """Seeded random weights: latency does not depend on their values."""
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    model.eval()
    return model


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python benchmarks/bort.py --batch-sizes 1 --rounds 10",
    )
    parser.add_argument("--models", nargs="+", choices=list(configs()), default=list(configs()), help="default: all")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], help="default: 1 8")
    parser.add_argument("--threads", type=int, default=num_usable_cores(), help="of a call (default: all cores)")
    parser.add_argument("--rounds", type=int, default=5, help="timing blocks per model and format (default: 5)")
    parser.add_argument("--block-seconds", type=float, default=0.3, help="length of a block (default: 0.3)")
    parser.add_argument("--cpu-time", action="store_true", help="one thread, CPU time: for a busy machine")
    parser.add_argument("--files", type=Path, help="keep the ONNX files here, and take those that are here")
    parser.add_argument("--scratch", help="folder for 4 GB of ONNX files without --files (default: the system's)")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    if options.cpu_time:
        options.threads = 1
    return options


if __name__ == "__main__":
    sys.exit(main())
