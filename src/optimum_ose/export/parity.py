"""Whether an ONNX file computes what its PyTorch model computes."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import ExportError
from optimum_ose.export.computation import is_per_token, select_outputs
from optimum_ose.export.example_inputs import example_inputs, rows_and_length
from optimum_ose.export.past import PAST, empty_past, logits_in_parts, past_shapes, positions
from optimum_ose.export.pooling import Pooling, as_pooling
from optimum_ose.modeling.prediction import evaluating
from optimum_ose.tasks.parts.pooling import SentencePooling
from optimum_ose.wording import first_line, one_line

_SHAPES = ((1, 8), (3, 24), (2, 128))
"""Batch x length: one row without padding, several rows, and longer than the trace."""

_TOLERANCE_MARGIN = 10
"""A tolerance that a message proposes, in measured differences: another student may differ by more."""
RUNTIME_ERRORS = (runtime.Fail, runtime.InvalidArgument, runtime.RuntimeException)
"""What ONNX Runtime raises in a run."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The outcome of a comparison of ONNX Runtime with PyTorch."""

    worst_difference: float
    """Largest |ONNX - PyTorch| of an output at a token that is not padding."""
    largest_output: float
    """Largest |output| of PyTorch, the scale of that difference."""
    shapes: tuple[tuple[int, int], ...]
    """Batch x length (of images: height) of each comparison."""


def check_parity(
    model: PreTrainedModel,
    onnx_path: Path,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    tolerance: float = 1e-4,
    shapes: Sequence[tuple[int, int]] = _SHAPES,
    seed: int = 0,
    pooling: Pooling | SentencePooling | None = None,
) -> Parity:
    """Run both on random token ids, with padding on either side and without, or on random pixels or sound.

    A graph that takes the past gets a text in three parts, the model at once. Logits of a whole text are compared with
    padding on the tokenizer's own side: a head that reads the first token reads padding otherwise, of which the kinds
    of attention think differently.

    Args:
        model: the PyTorch model; its training flag and its device stay as they are.
        onnx_path: the exported file.
        tokenizer: the model's tokenizer; None for a model of images or sound.
        tolerance: largest accepted difference, for outputs within [-1, 1]; relative to the largest output beyond.
        shapes: batch x length of each comparison; of images, the batch counts.
        seed: of the inputs.
        pooling: the one that the file was exported with.

    Raises:
        ExportError: if a difference is larger, or an output is not a number.
    """
    found = measure_parity(model, onnx_path, tokenizer, shapes=shapes, seed=seed, pooling=pooling)
    return require_parity(found, tolerance=tolerance)


def measure_parity(
    model: PreTrainedModel,
    onnx_path: Path,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    shapes: Sequence[tuple[int, int]] = _SHAPES,
    seed: int = 0,
    pooling: Pooling | SentencePooling | None = None,
) -> Parity:
    """The comparison of `check_parity`, which any difference passes.

    Raises:
        ExportError: if the file fails on an input.
    """
    generator = np.random.default_rng(seed)
    session = open_session(onnx_path)
    differences, magnitudes, compared = [0.0], [0.0], []
    for batch_size, length in shapes:
        for side in _sides(tokenizer):
            inputs = example_inputs(
                model,
                tokenizer,
                batch_size=batch_size,
                sequence_length=length,
                padded=True,
                generator=generator,
                padding_side=side,
            )
            expected, actual = torch_outputs(model, inputs, as_pooling(pooling)), _answered(session, inputs)
            for name, array in expected.items():
                if name == "logits" and array.ndim == 2 and side != _sides(tokenizer)[0]:
                    continue
                real = _real(name, array, inputs)
                fits = actual[name].shape == array.shape
                differences.append(largest_magnitude(actual[name][real] - array[real]) if fits else float("inf"))
                magnitudes.append(largest_magnitude(array[real]))
        compared.append(rows_and_length(inputs))
    return Parity(worst_difference=max(differences), largest_output=max(magnitudes), shapes=tuple(compared))


def require_parity(parity: Parity, *, tolerance: float) -> Parity:
    """A comparison that passes.

    Args:
        parity: what was found.
        tolerance: see `check_parity`.

    Raises:
        ExportError: if the difference is larger than the tolerance, or an output is not a number.
    """
    bound = tolerance * max(1.0, parity.largest_output)
    if not parity.worst_difference <= bound < np.inf:
        raise ExportError(
            f"The ONNX file must compute what the model computes, within {bound:.3g}",
            f"the largest difference over the shapes {list(parity.shapes)} is {parity.worst_difference:.3g}",
            _parity_remedy(parity),
        )
    return parity


def _parity_remedy(parity: Parity) -> str:
    if not np.isfinite(parity.worst_difference):
        return "Export with another opset, or another model type"
    needed = _TOLERANCE_MARGIN * parity.worst_difference / max(1.0, parity.largest_output)
    return f"Set the tolerance to {needed:.1g} if that is harmless for your task, or export with another opset"


def _answered(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, torch.Tensor]
) -> dict[str, NDArray[np.float32]]:
    try:
        return session_outputs(session, inputs)
    except RUNTIME_ERRORS as error:
        raise ExportError(
            "The ONNX file must answer batches and lengths other than those it was traced with",
            f"ONNX Runtime failed on {rows_and_length(inputs)}: {one_line(first_line(error), limit=300)}",
            "Export another model type: this one's code fixes sizes while it is traced",
        ) from error


def torch_outputs(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], pooling: SentencePooling | None = None
) -> dict[str, NDArray[np.float32]]:
    """The model's answer by output name. Positions of a causal language model are counted from the mask."""
    given = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    arguments = dict(given)
    if past_shapes(model) and "position_ids" in inspect.signature(model.forward).parameters:
        arguments["position_ids"] = positions(given["attention_mask"])
    with evaluating(model):
        found = select_outputs(model(**arguments, return_dict=True), given, pooling)
    return {name: tensor.float().cpu().numpy() for name, tensor in found.items()}


def session_outputs(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, torch.Tensor]
) -> dict[str, NDArray[np.float32]]:
    """The graph's answer by output name."""
    if any(item.name.startswith(PAST) for item in session.get_inputs()):
        length = int(inputs["input_ids"].shape[1])
        ends = sorted({max(1, length // 2), max(1, length - 1), length})
        return {"logits": logits_in_parts(session, {name: item.numpy() for name, item in inputs.items()}, ends)}
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(None, session_feeds(session, inputs)), strict=True))


def open_session(onnx_path: Path, *, num_threads: int | None = None) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU; `num_threads` None leaves the choice to the runtime."""
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    return onnxruntime.InferenceSession(str(onnx_path), options, providers=["CPUExecutionProvider"])


def session_feeds(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, torch.Tensor]
) -> dict[str, NDArray[np.int64] | NDArray[np.float32]]:
    """The inputs that the graph has, without a past; the exporter drops what the model accepts but does not use."""
    past = empty_past(session, len(next(iter(inputs.values()))))
    return past | {item.name: inputs[item.name].numpy() for item in session.get_inputs() if item.name not in past}


def _sides(tokenizer: PreTrainedTokenizerBase | None) -> tuple[Literal["left", "right"], ...]:
    """Of the padding, the tokenizer's own first."""
    if tokenizer is None:
        return ("right",)
    return ("left", "right") if tokenizer.padding_side == "left" else ("right", "left")


def _real(name: str, array: NDArray[np.float32], inputs: Mapping[str, torch.Tensor]) -> Any:
    """Where an output is compared: of a text at tokens that are not padding, else everywhere."""
    if "attention_mask" in inputs and is_per_token(name, array.ndim):
        return inputs["attention_mask"].numpy() == 1
    return slice(None)


def largest_magnitude(array: NDArray[np.float32]) -> float:
    """The largest magnitude; infinite if any element is not a number."""
    return float(np.nan_to_num(np.abs(array), nan=np.inf, posinf=np.inf).max(initial=0.0))
