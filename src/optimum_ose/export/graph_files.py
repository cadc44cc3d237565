"""ONNX graphs on the disk: whole or not at all, with their weights in a file of their own from 2 GiB on."""

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from optimum_ose.exceptions import OutputFolderError
from optimum_ose.serving.graphs import data_file

PROTOBUF_LIMIT = 2**31 - 2**26
"""Bytes of weights that a graph may hold itself: a protobuf message is smaller than 2 GiB."""
_SMALLEST = 1024
"""Bytes of a weight that is worth a place in the data file."""


def is_large(model: ModelProto) -> bool:
    """Whether a graph's weights need a file of their own."""
    return sum(map(_num_bytes, model.graph.initializer)) >= PROTOBUF_LIMIT


def _num_bytes(tensor: onnx.TensorProto) -> int:
    size: int = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return size


def save_graph(model: ModelProto, path: Path) -> None:
    """Write a graph; from 2 GiB on its weights go to `data_file(path)`, and leave the model in memory."""
    data = data_file(path)
    data.unlink(missing_ok=True)
    if not is_large(model):
        onnx.save(model, path)
        return
    onnx.save(
        model,
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=data.name,
        size_threshold=_SMALLEST,
    )


@contextmanager
def atomic_graph(path: Path) -> Iterator[Path]:
    """Yield a file of the same name in a temporary folder; if the block ends well, move it and its data file to `path`.

    Everything else that the block leaves in the folder is removed. The old file stays whole until then. Where one of
    the two graphs has a data file, a process that is killed between the moves leaves no graph, never a wrong one.

    Args:
        path: final name. Its folder is created.

    Raises:
        OutputFolderError: if the folder cannot be created or the files cannot be moved.
    """
    folder = path.with_name(f".{path.name}.partial")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder / path.name
            _move(folder / path.name, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if isinstance(error, OutputFolderError):
            raise
        raise OutputFolderError(
            f"{path} must be writable",
            f"writing it failed: {error.strerror or error}",
            "Free disk space, or choose a folder that you may write to",
        ) from error


def _move(source: Path, target: Path) -> None:
    _sync(source, os.O_RDWR)
    data = data_file(source)
    if data.is_file() or data_file(target).is_file():
        target.unlink(missing_ok=True)
        data_file(target).unlink(missing_ok=True)
    if data.is_file():
        _sync(data, os.O_RDWR)
        data.replace(data_file(target))
    source.replace(target)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _sync(target.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    """Flush a file, or the directory entry of a rename, to the disk."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
