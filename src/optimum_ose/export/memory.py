"""Peak memory of a process that loads one model and answers once; run as a module, it is that process."""

import os
import subprocess
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_bytes(model: Path, *, batch_size: int, sequence_length: int, num_threads: int) -> int | None:
    """Largest resident memory of a fresh interpreter that loads a model and runs it once, libraries included.

    Args:
        model: an ONNX file (loaded by ONNX Runtime), or a `from_pretrained` folder (loaded by PyTorch).
        batch_size: rows of the one batch.
        sequence_length: tokens per row.
        num_threads: threads of the run.

    Returns:
        Bytes, or None where /proc does not exist.

    Raises:
        subprocess.CalledProcessError: if the model cannot be loaded.
    """
    if not _STATUS.is_file():
        return None
    # The module by its path, not by its name: the fresh process shall load the model's libraries and nothing of ours.
    command = [sys.executable, __file__, str(model), *map(str, (batch_size, sequence_length, num_threads))]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    return int(answer.stdout.split()[-1])


def _run_onnx(model: Path, shape: tuple[int, ...], num_threads: int) -> None:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    shape = shape if len(inputs[0].shape) == len(shape) else (shape[0], 1, *shape[1:])  # one choice of a question
    session.run(None, {item.name: np.full(shape, item.name == "attention_mask", dtype=np.int64) for item in inputs})


def _run_torch(folder: Path, shape: tuple[int, ...], num_threads: int) -> None:
    import torch
    import transformers

    torch.set_num_threads(num_threads)
    config = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, config.architectures[0]).from_pretrained(folder)
    if config.architectures[0].endswith("ForMultipleChoice"):
        shape = (shape[0], 1, *shape[1:])
    with torch.inference_mode():
        model(input_ids=torch.zeros(shape, dtype=torch.int64), attention_mask=torch.ones(shape, dtype=torch.int64))


def _main(arguments: list[str]) -> None:
    model, (batch_size, length, num_threads) = Path(arguments[0]), map(int, arguments[1:])
    run = _run_torch if model.is_dir() else _run_onnx
    run(model, (batch_size, length), num_threads)
    peak = next(line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{int(peak) * 1024}\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
