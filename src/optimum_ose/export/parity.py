"""Whether an ONNX file computes what its PyTorch model computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import ExportError
from optimum_ose.export.example_inputs import example_inputs, rows_and_length
from optimum_ose.modeling.prediction import evaluating

_SHAPES = ((1, 8), (3, 24), (2, 128))
"""Batch x length: one row without padding, several rows, and longer than the trace."""


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
) -> Parity:
    """Run both on random token ids, with and without padding, or on random pixels, and compare the outputs.

    Args:
        model: the PyTorch model; its training flag and its device stay as they are.
        onnx_path: the exported file.
        tokenizer: the model's tokenizer; None for an image model.
        tolerance: largest accepted difference, for outputs within [-1, 1]; relative to the largest output beyond.
        shapes: batch x length of each comparison; of images, the batch counts.
        seed: of the inputs.

    Raises:
        ExportError: if a difference is larger, or an output is not a number.
    """
    generator = np.random.default_rng(seed)
    session = open_session(onnx_path)
    differences, magnitudes, compared = [0.0], [0.0], []
    for batch_size, length in shapes:
        inputs = example_inputs(
            model, tokenizer, batch_size=batch_size, sequence_length=length, padded=True, generator=generator
        )
        expected = torch_output(model, inputs)
        actual = session.run(None, session_feeds(session, inputs))[0]
        masked = expected.ndim == 3 and "attention_mask" in inputs
        real = inputs["attention_mask"].numpy() == 1 if masked else slice(None)
        differences.append(_largest(actual[real] - expected[real]) if actual.shape == expected.shape else float("inf"))
        magnitudes.append(_largest(expected[real]))
        compared.append(rows_and_length(inputs))
    parity = Parity(worst_difference=max(differences), largest_output=max(magnitudes), shapes=tuple(compared))
    bound = tolerance * max(1.0, parity.largest_output)
    if not parity.worst_difference <= bound < np.inf:
        raise ExportError(
            f"The ONNX file must compute what the model computes, within {bound:.3g}",
            f"the largest difference over the shapes {compared} is {parity.worst_difference:.3g}",
            "Export with another opset, or raise the tolerance if the difference is harmless for your task",
        )
    return parity


def torch_output(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> NDArray[np.float32]:
    """The model's logits, or its last hidden state: (batch, labels) or (batch, length, width)."""
    with evaluating(model):
        output = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()}, return_dict=True)
    array: NDArray[np.float32] = output[output_name(output)].float().cpu().numpy()
    return array


def output_name(output: object) -> str:
    """The output that is exported: `logits` where the model has a head, else `last_hidden_state`."""
    return "logits" if "logits" in output else "last_hidden_state"  # type: ignore[operator]


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
    """The inputs that the graph has; the exporter drops one that the model accepts but does not use."""
    return {item.name: inputs[item.name].numpy() for item in session.get_inputs()}


def _largest(array: NDArray[np.float32]) -> float:
    """The largest magnitude; infinite if any element is not a number."""
    return float(np.nan_to_num(np.abs(array), nan=np.inf, posinf=np.inf).max(initial=0.0))
