"""The weight files of a model, looked at before they are loaded: which they are, whether they can be read, what is in
them.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import torch
from safetensors import SafetensorError, safe_open
from transformers import PretrainedConfig

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.health import not_finite
from optimum_ose.modeling.source import damaged, find_file, not_loaded
from optimum_ose.wording import first_line, listed, one_line

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""How safetensors names the types that become float32 without a scale of their own."""
_WHOLE = frozenset({"I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"})
_LFS = b"version https://git-lfs"
_OTHERS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack", "model.ckpt.index")
"""Weights in forms that are not read: most of them can run code."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as a file describes it."""

    dtype: str
    """As safetensors names it."""
    shape: tuple[int, ...]
    """Sizes."""


def weight_files(source: str, config: PretrainedConfig, *, revision: str | None = None) -> tuple[Path, ...]:
    """The safetensors files of a model, downloaded if needed.

    Transformers would read what an index names wherever it lies, and unpickle it if it is no safetensors file.

    Raises:
        InvalidConfigError: if there are none, or the index is damaged or names anything but safetensors files beside
            it.
    """
    named = str(getattr(config, "transformers_weights", None) or "")
    for name in (named,) if named else (_SINGLE, _INDEX):
        path = find_file(source, name, revision=revision) if _lies_beside(name) else None
        if path is not None:
            return _shards(source, path, name, revision) if name.endswith(".index.json") else (path,)
    raise _no_weights(source, named or _SINGLE, revision=revision)


def read_headers(source: str, files: Iterable[Path]) -> dict[str, Stored]:
    """The tensors of weight files by name; no weights are read.

    Raises:
        InvalidConfigError: naming the file that is empty, cut off, or no safetensors file.
        UnsupportedModelError: if weights are quantized.
    """
    found: dict[str, Stored] = {}
    for path in files:
        found |= _header(source, path)
    strange = [f"{name} ({item.dtype})" for name, item in found.items() if _is_quantized(name, item)]
    if strange:
        raise UnsupportedModelError(
            "The weights must be floating-point numbers of 16 bits or more",
            f"{one_line(source, limit=120)} holds quantized ones: {listed(strange, limit=3)}",
            "Use the model from which it was quantized",
        )
    return found


def read_weights(files: Iterable[Path]) -> dict[str, torch.Tensor]:
    """All tensors of weight files whose headers were read."""
    found: dict[str, torch.Tensor] = {}
    for path in files:
        with safe_open(path, framework="pt") as content:
            found |= {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118  # no mapping
    return found


def num_elements(stored: Mapping[str, Stored]) -> int:
    """Numbers in all tensors together."""
    return sum(math.prod(item.shape) for item in stored.values())


def require_finite(model: torch.nn.Module, source: str) -> None:
    """Pass if every weight of a model is a number.

    Raises:
        InvalidConfigError: naming the tensors with NaN or infinity.
    """
    if bad := not_finite(model):
        raise InvalidConfigError(
            "Every weight of a model must be a finite number",
            f"in {one_line(source, limit=120)} NaN or infinity is in {listed(bad, limit=4)}",
            "Train the model again, or use an earlier checkpoint",
        )


def require_float32(model: torch.nn.Module) -> None:
    """Pass if every weight of a model is float32: students take its precision, and files are written in it.

    Raises:
        UnsupportedModelError: naming the types of the others.
    """
    others = {str(tensor.dtype) for tensor in model.parameters() if tensor.is_floating_point()} - {"torch.float32"}
    if others:
        raise UnsupportedModelError(
            "The weights of a teacher must be float32",
            f"this {type(model).__name__} has {listed(sorted(others))}",
            "Call teacher.float() first, or load it with OSEOptimizer.from_pretrained",
        )


def _shards(source: str, path: Path, name: str, revision: str | None) -> tuple[Path, ...]:
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        shards = sorted({str(file) for file in files})
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise damaged(source, name, f"it is damaged ({type(error).__name__})") from error
    bad = [shard for shard in shards if not (_lies_beside(shard) and shard.endswith(".safetensors"))]
    if bad or not shards:
        raise InvalidConfigError(
            f"{name} must name safetensors files beside it",
            f"in {one_line(source, limit=120)} it names {listed(bad, limit=3) or 'none'}",
            "Do not use this model, or have its author save it with safetensors",
        )
    found = {shard: find_file(source, shard, revision=revision) for shard in shards}
    missing = [shard for shard, file in found.items() if file is None]
    if missing:
        raise damaged(source, name, f"the files {listed(missing, limit=3)} that it names are missing")
    return tuple(file for file in found.values() if file is not None)


def _lies_beside(name: str) -> bool:
    return bool(name) and PurePath(name).name == name and "\\" not in name


def _header(source: str, path: Path) -> dict[str, Stored]:
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_LFS))
    except OSError as error:
        raise damaged(source, path.name, first_line(error)) from error
    if not start:
        raise damaged(source, path.name, "it is empty (0 bytes)")
    if start == _LFS:
        raise damaged(
            source, path.name, "it is a Git LFS pointer, not the file", remedy="Run git lfs pull, or hf download"
        )
    try:
        with safe_open(path, framework="pt") as content:
            parts = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118  # no mapping
            return {name: Stored(part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise damaged(source, path.name, f"it is cut off or no safetensors file ({first_line(error)})") from error


def _is_quantized(name: str, item: Stored) -> bool:
    """Whether a tensor holds weights in a form that needs a scale; whole numbers may be buffers, such as positions."""
    if item.dtype in _FLOATS:
        return False
    return item.dtype not in _WHOLE or name.rsplit(".", 1)[-1] in {"weight", "qweight", "weight_packed"}


def _no_weights(source: str, name: str, *, revision: str | None) -> InvalidConfigError:
    folder = Path(source)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    other = [file for file in names if file in _OTHERS or file.endswith(".gguf")]
    if not folder.is_dir():
        other = [file for file in _OTHERS[:1] if find_file(source, file, revision=revision) is not None]
    has = f", only {listed(other, limit=3)}, which is not read" if other else ""
    remedy = "Load the model with Transformers and save it with save_pretrained, which writes safetensors"
    return not_loaded(source, f"it has no file named {name}{has}", remedy=remedy if other else "")
