"""Whether the ONNX files of an encoder and its decoder compute what their PyTorch model computes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import ExportError
from optimum_ose.export.parity import RUNTIME_ERRORS, Parity, largest_magnitude, open_session, require_parity
from optimum_ose.export.sequence_inputs import sequence_inputs
from optimum_ose.modeling.prediction import evaluating
from optimum_ose.serving.sequence_session import SequenceSession
from optimum_ose.wording import first_line, one_line

_SHAPES = ((1, 8, 2), (3, 24, 6), (2, 96, 20))
"""Batch x tokens that are read x tokens that are written."""


def check_sequence_parity(
    model: PreTrainedModel,
    encoder: Path,
    decoder: Path,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    tolerance: float,
    shapes: Sequence[tuple[int, int, int]] = _SHAPES,
    seed: int = 0,
) -> Parity:
    """Compare logits on random token ids, with padding: written at once, and in three parts with the past.

    Args: those of `measure_sequence_parity`, and
        tolerance: see `check_parity`.

    Raises:
        ExportError: if a difference is larger, or an output is not a number.
    """
    found = measure_sequence_parity(model, encoder, decoder, tokenizer, shapes=shapes, seed=seed)
    return require_parity(found, tolerance=tolerance)


def measure_sequence_parity(
    model: PreTrainedModel,
    encoder: Path,
    decoder: Path,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    shapes: Sequence[tuple[int, int, int]] = _SHAPES,
    seed: int = 0,
) -> Parity:
    """The comparison of `check_sequence_parity`, which any difference passes.

    Args:
        model: the PyTorch model.
        encoder: its ONNX file.
        decoder: its ONNX file.
        tokenizer: the model's tokenizer.
        shapes: of each comparison.
        seed: of the inputs.

    Raises:
        ExportError: if the files fail on an input.
    """
    generator, session = np.random.default_rng(seed), open_sequences(encoder, decoder)
    differences, magnitudes, compared = [0.0], [0.0], []
    for batch_size, length, num_written in shapes:
        inputs = sequence_inputs(
            model,
            tokenizer,
            batch_size=batch_size,
            sequence_length=length,
            num_written=num_written,
            generator=generator,
        )
        expected = torch_logits(model, inputs)
        written = inputs["decoder_input_ids"].shape[1]
        for ends in ((written,), tuple(sorted({1, written - 1, written} - {0}))):
            found = _written(session, inputs, ends)
            fits = found.shape == expected.shape
            differences.append(largest_magnitude(found - expected) if fits else float("inf"))
        magnitudes.append(largest_magnitude(expected))
        compared.append((batch_size, int(inputs["input_ids"].shape[1])))
    return Parity(worst_difference=max(differences), largest_output=max(magnitudes), shapes=tuple(compared))


def torch_logits(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> NDArray[np.float32]:
    """The model's logits of what was written, (batch, tokens, vocabulary)."""
    with evaluating(model):
        output = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()}, return_dict=True)
        logits: NDArray[np.float32] = output.logits.float().cpu().numpy()
    return logits


def written_logits(
    session: SequenceSession, inputs: Mapping[str, torch.Tensor], ends: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """The files' logits of what was written, in several parts, each with the past so far.

    Args:
        session: of the files.
        inputs: as `sequence_inputs` gives them.
        ends: where each part ends; None: all at once.
    """
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    ids, reading = arrays["decoder_input_ids"], session.read(arrays)
    parts, start = [], 0
    for end in ends or (ids.shape[1],):
        parts.append(reading.write(ids[:, start:end]))
        start = end
    return np.concatenate(parts, axis=1)


def open_sequences(encoder: Path, decoder: Path, *, num_threads: int | None = None) -> SequenceSession:
    """Sessions of both files on the CPU."""
    return SequenceSession(*(open_session(path, num_threads=num_threads) for path in (encoder, decoder)))


def _written(
    session: SequenceSession, inputs: Mapping[str, torch.Tensor], ends: tuple[int, ...]
) -> NDArray[np.float32]:
    try:
        return written_logits(session, inputs, ends)
    except RUNTIME_ERRORS as error:
        raise ExportError(
            "The ONNX files must answer batches and lengths other than those they were traced with",
            f"ONNX Runtime failed: {one_line(first_line(error), limit=300)}",
            "Export another model type: this one's code fixes sizes while it is traced",
        ) from error
