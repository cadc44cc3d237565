"""Owns the benchmark of the export: model types x tasks with random weights, each exported, checked, sized and timed.

One row per type and task: the worst difference to PyTorch over several batches and lengths with padding on both sides,
fused operators in the written file and in the graph that ONNX Runtime makes of it, sizes and latency of fp32 and int8.
The exit code is 1 if a listed pair fails.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FIELDS = (
    "type", "task", "verdict", "worst_difference", "largest_output", "shapes", "attention", "layer_norm", "gelu",
    "runtime_attention", "runtime_layer_norm", "runtime_gelu", "fp32_bytes", "int8_bytes", "fp32_ms", "int8_ms",
    "int8_difference", "export_seconds", "reason",
)  # fmt: skip
FUSED = {
    "attention": ("Attention", "MultiHeadAttention", "GroupQueryAttention"),
    "layer_norm": (
        *("LayerNormalization", "SkipLayerNormalization", "EmbedLayerNormalization"),
        *("SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization", "RMSNormalization"),
    ),
    "gelu": ("Gelu", "BiasGelu", "FastGelu", "QuickGelu"),
}
"""Operators that stand for a whole pattern, by what they compute."""
SHAPES = ((1, 8), (3, 24), (2, 128), (4, 37))
"""Batch x length of the comparison with PyTorch."""
EXAMPLE = "example: python benchmarks/export.py --types bert,llama --tasks text-classification --output export.csv"


def main() -> int:
    """Run the benchmark; the exit code is 1 if a pair fails that is not a known refusal."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    options = _parse()
    rows = []
    start = time.perf_counter()
    for name, task in pairs(options.types, options.tasks):
        rows.append(examine(name, task, block_seconds=options.block_seconds))
        print(_line(rows[-1]), flush=True)
        write(rows, options.output)
    return summarize(rows, seconds=time.perf_counter() - start)


def pairs(types: str | None, tasks: str | None) -> Iterator[tuple[str, str]]:
    """Types and tasks in their order, perhaps only some."""
    from export_models import MODEL_TYPES

    for name in types.split(",") if types else MODEL_TYPES:
        for task in MODEL_TYPES[name].tasks:
            if tasks is None or task in tasks.split(","):
                yield name, task


def examine(name: str, task: str, *, block_seconds: float) -> dict[str, Any]:
    """The row of one type and task."""
    import torch
    import transformers
    from export_models import MODEL_TYPES, build_model, build_tokenizer

    from optimum_ose.exceptions import OSEError

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    row: dict[str, Any] = {"type": name, "task": task, "verdict": "failed"}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            found = measure(build_model(name, task), build_tokenizer(name), task, Path(folder), block_seconds)
            row |= {**found, "verdict": "ok"}
        except OSEError as error:
            row |= {"verdict": "refused" if MODEL_TYPES[name].is_refused else "failed", "reason": str(error)}
        except Exception as error:  # noqa: BLE001 - any other failure is a finding of the benchmark
            row |= {"reason": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    return row


def measure(model: Any, tokenizer: Any, task: str, folder: Path, block_seconds: float) -> dict[str, Any]:
    """Export one model with the product's own functions, and look at what was written."""
    import onnx

    from optimum_ose.export.example_inputs import timing_inputs
    from optimum_ose.export.latency import measure_latency
    from optimum_ose.export.onnx_export import export_onnx
    from optimum_ose.export.parity import check_parity, open_session, session_feeds
    from optimum_ose.export.quantization import quantize_dynamic_int8

    pooling = "mean" if task == "sentence-embedding" else None
    start = time.perf_counter()
    full = export_onnx(model, tokenizer, folder, pooling=pooling)
    seconds = time.perf_counter() - start
    small = quantize_dynamic_int8(folder)
    parity = check_parity(model, full, tokenizer, shapes=SHAPES, seed=1, pooling=pooling)
    loss = check_parity(model, small, tokenizer, tolerance=1e6, shapes=SHAPES, seed=1, pooling=pooling)
    inputs = timing_inputs(model, tokenizer, batch_size=1, sequence_length=128)
    sessions = {"fp32": open_session(full, num_threads=1), "int8": open_session(small, num_threads=1)}
    runners = {kind: _call(session, session_feeds(session, inputs)) for kind, session in sessions.items()}
    report = measure_latency(runners, num_rounds=2, block_seconds=block_seconds, max_discarded_blocks=2)
    return {
        "worst_difference": parity.worst_difference,
        "largest_output": parity.largest_output,
        "shapes": " ".join(f"{rows}x{length}" for rows, length in parity.shapes),
        **fused_counts(onnx.load(full)),
        **{f"runtime_{kind}": count for kind, count in fused_counts(runtime_graph(full, folder)).items()},
        "fp32_bytes": full.stat().st_size,
        "int8_bytes": small.stat().st_size,
        **{f"{kind}_ms": found.p50_ms for kind, found in report.latencies.items()},
        "int8_difference": loss.worst_difference,
        "export_seconds": seconds,
    }


def _call(session: Any, feeds: Mapping[str, Any]) -> Any:
    return lambda: session.run(None, feeds)


def runtime_graph(path: Path, scratch: Path) -> Any:
    """The graph that ONNX Runtime makes of a file when it loads it."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch / "runtime.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def fused_counts(model: Any) -> dict[str, int]:
    """How many operators of each fused kind a graph has."""
    counts = Counter(node.op_type for node in model.graph.node)
    return {kind: sum(counts[operator] for operator in operators) for kind, operators in FUSED.items()}


def write(rows: Sequence[Mapping[str, Any]], path: Path | None) -> None:
    """Write the rows as csv or json, by the ending of the name."""
    if path is None:
        return
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def summarize(rows: Sequence[Mapping[str, Any]], *, seconds: float) -> int:
    """Print the totals; 1 if a pair failed or there was none."""
    verdicts = Counter(row["verdict"] for row in rows)
    exported = {row["type"] for row in rows if row["verdict"] == "ok"}
    worst = max(
        (row["worst_difference"] / max(1.0, row["largest_output"]) for row in rows if "fp32_ms" in row), default=0
    )
    print(f"\n{len(rows)} pairs of {len({row['type'] for row in rows})} types in {seconds:.0f} s: {dict(verdicts)}")
    print(f"types with an exported task   {len(exported)}")
    print(f"worst relative difference     {worst:.2g}")
    for row in rows:
        if row["verdict"] != "ok":
            print(f"{row['verdict']}: {row['type']} {row['task']}: {row['reason']}")
    return int(verdicts["failed"] > 0 or not rows)


def _line(row: Mapping[str, Any]) -> str:
    head = f"{row['type']:12} {row['task']:24} {row['verdict']:8}"
    if row["verdict"] != "ok":
        return f"{head} {row['reason'][:100]}"
    counts = "/".join(f"{row[kind]}>{row['runtime_' + kind]}" for kind in FUSED)
    sizes = f"{row['fp32_bytes'] / 1e3:7.0f} {row['int8_bytes'] / 1e3:6.0f} kB"
    times = f"{row['fp32_ms']:6.2f} {row['int8_ms']:6.2f} ms"
    return f"{head} {row['worst_difference']:8.1e} {counts:14} {sizes} {times} int8 {row['int8_difference']:.1e}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], epilog=EXAMPLE)
    parser.add_argument("--types", help="model types, separated by commas; default: all")
    parser.add_argument("--tasks", help="tasks, separated by commas; default: all of each type")
    parser.add_argument("--block-seconds", type=float, default=0.05, help="length of a timing block; two per format")
    parser.add_argument("--output", type=Path, help="csv or json file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
