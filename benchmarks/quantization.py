"""Compares dynamic and static int8 with fp32 on a trained student: speed, score, answers, the rest of the batch.

Both files are made from the folder's fp32 file; static int8 is calibrated on training rows. Times are interleaved, one
thread, 128 tokens. "Same": test rows whose class is that of fp32. "Company": the largest change of any probability of a
test text when 31 others share its batch.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from optimum_ose import ExportConfig, OSEOptimizer
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import make_splits
from optimum_ose.export.example_inputs import timing_inputs
from optimum_ose.export.latency import measure_latency
from optimum_ose.export.parity import open_session, session_feeds
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.folder import read_object
from optimum_ose.serving.tasks.parts.labels import Labels

_COMPANY = 32


def main() -> int:
    """Print the table; the exit code is 1 if an answer of static int8 depends on its company."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python benchmarks/quantization.py out --dataset shared/data/trec6",
    )
    parser.add_argument("folder", help="a student's, or any fine-tuned text classifier's")
    parser.add_argument("--dataset", required=True, help="what it was trained on")
    options = parser.parse_args()
    optimizer = OSEOptimizer.from_pretrained(options.folder)
    splits = make_splits(read_tables(options.dataset), Columns(), seed=0)
    with TemporaryDirectory() as scratch:
        files = {}
        for kind in ("dynamic-int8", "static-int8"):
            folder = Path(scratch) / kind
            optimizer.export(
                optimizer.teacher, folder, ExportConfig(quantization=kind), calibration_dataset=splits.train
            )
            files |= {"fp32": folder / "onnx/model.onnx", kind: folder / "onnx/model_quantized.onnx"}
        return _compare(optimizer, files, splits.test)


def _compare(optimizer: OSEOptimizer, files: dict[str, Path], test: Dataset) -> int:
    times = {}
    for batch_size in (1, 8):
        inputs = timing_inputs(optimizer.teacher, optimizer.tokenizer, batch_size=batch_size, sequence_length=128)
        sessions = {kind: open_session(path, num_threads=1) for kind, path in files.items()}
        runs = {kind: partial(session.run, None, session_feeds(session, inputs)) for kind, session in sessions.items()}
        times[batch_size] = measure_latency(runs, num_rounds=10, block_seconds=0.3, max_discarded_blocks=20).latencies
    print(f"{'file':14s}{'bytes':>12s}{'batch 1 ms':>12s}{'batch 8 ms':>12s}{'score':>8s}{'same':>8s}{'company':>10s}")
    labels, company, classes = np.array(optimizer.rows(test)["labels"]), {}, {}
    for kind in sorted(files, key=lambda kind: kind != "fp32"):
        path = files[kind]
        classes[kind], company[kind] = _answers(path, test)
        score, same = np.mean(classes[kind] == labels), np.mean(classes[kind] == classes["fp32"])
        print(
            f"{kind:14s}{path.stat().st_size:12,}{times[1][kind].p50_ms:12.3f}{times[8][kind].p50_ms:12.3f}"
            f"{score:8.4f}{same:8.4f}{company[kind]:10.1e}",
            flush=True,
        )
    return int(company["static-int8"] > 1e-4)


def _answers(path: Path, test: Dataset) -> tuple[NDArray[np.int64], float]:
    """The class of each test row, and the largest change of a probability by the other texts of a batch."""
    pipeline = OnnxPipeline.from_pretrained(path.parents[1], file_name=f"onnx/{path.name}", num_threads=1)
    pairs = [(row["text"], row.get("text_pair")) for row in test]
    labels = Labels(read_object(path.parents[1], "config.json"))
    alone, together = (
        np.stack([labels.scores(row) for row in pipeline.rows(pairs, batch_size=size)]) for size in (1, _COMPANY)
    )
    return alone.argmax(axis=1), float(np.abs(alone - together).max())


if __name__ == "__main__":
    sys.exit(main())
