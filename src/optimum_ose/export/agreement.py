"""Whether a quantized file answers as its fp32 file does, and which of them a folder serves by default."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.data.batching import pad_rows
from optimum_ose.export.computation import is_per_token
from optimum_ose.export.decoders import writes_sequences
from optimum_ose.export.example_inputs import example_inputs
from optimum_ose.export.parity import open_session, session_outputs
from optimum_ose.export.sequence_inputs import sequence_inputs
from optimum_ose.export.sequence_parity import open_sequences, written_logits
from optimum_ose.modeling.model_inputs import takes_choices
from optimum_ose.preprocessing import WRITTEN, WRITTEN_MASK, choices_apart
from optimum_ose.serving.graphs import FULL, HALF, INT8, WEIGHTS_INT4, WEIGHTS_INT8, files_beside, main_file

MIN_AGREEMENT = 0.9
"""Of an int8 file that becomes the default: its error is at most a third of what fp32's answers differ by."""
_NAMES = {INT8: "int8", WEIGHTS_INT8: "weight-only int8", WEIGHTS_INT4: "weight-only int4", HALF: "fp16"}
_NUM_MADE_UP, _MAX_WORDS = 48, 24
"""Texts of random tokens, and tokens of the longest, where no rows of the task are given."""
_IMAGES = 8
_MAX_ROWS, _BATCH_SIZE = 64, 16


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultFile:
    """Which ONNX file a folder serves by default, and why."""

    default_file: str
    """Relative to the model folder."""
    reason: str
    """In words."""
    agreement: float | None = None
    """Of the quantized file with fp32, in [0, 1]; see `agreement`. None if there is no such file."""


def choose_default(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    rows: Sequence[Mapping[str, Any]],
) -> DefaultFile:
    """Compare the int8 file of a folder with its fp32 file: it becomes the default if it answers alike.

    Args:
        folder: holds `onnx/`.
        model: that the files were made of.
        tokenizer: pads; None for a model of images or sound.
        rows: token rows of the task, of which at most 64 are used; none: random tokens or pixels.
    """
    has_int8 = (folder / main_file(folder, INT8)).is_file()
    found = {INT8: agreement(folder, model, tokenizer, rows)} if has_int8 else {}
    return judged_default(folder, found, on_rows=tokenizer is not None and len(rows) > 0)


def judged_default(folder: Path, agreements: Mapping[str, float], *, on_rows: bool) -> DefaultFile:
    """The first quantized file that answers as the fp32 file does; without one, the fp32 file.

    Args:
        folder: holds `onnx/`.
        agreements: with the fp32 file, by the ending of the quantized file's name, in the order of preference.
        on_rows: whether rows of the task were compared, and not random inputs.
    """
    full, where = main_file(folder), "rows of the task" if on_rows else "random inputs"
    if not agreements:
        return DefaultFile(default_file=full, reason="there is no int8 file")
    for ending, found in agreements.items():
        if found >= MIN_AGREEMENT:
            reason = f"{_NAMES[ending]} agrees with fp32: {found:.2f} on {where}"
            return DefaultFile(default_file=main_file(folder, ending), reason=reason, agreement=found)
    ending, best = max(agreements.items(), key=lambda item: item[1])
    reason = f"{_NAMES[ending]} agrees with fp32 by {best:.2f} on {where} only, below {MIN_AGREEMENT:g}"
    return DefaultFile(default_file=full, reason=reason, agreement=best)


def agreement(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    rows: Sequence[Mapping[str, Any]],
    *,
    ending: str = INT8,
) -> float:
    """How well another file of a folder agrees with its fp32 file: 1 at best, 0 or less if it answers by chance.

    One minus the mean square error of the other file, relative to the variance of fp32's answers over texts, tokens or
    places in a text. Of logits of classes it counts what differs between the classes of a text. The least of all
    outputs counts.

    Args: those of `choose_default`, and
        ending: of the other file's name.
    """
    if writes_sequences(model):
        return _explained(_written_alike(folder, model, tokenizer, rows, ending))
    sessions = [open_session(folder / main_file(folder, name)) for name in (FULL, ending)]
    answers: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for inputs in _batches(model, tokenizer, rows, {item.name for item in sessions[0].get_inputs()}):
        full, quantized = (session_outputs(session, inputs) for session in sessions)
        for name, expected in full.items():
            real: Any = slice(None)
            if "attention_mask" in inputs and is_per_token(name, expected.ndim):
                real = inputs["attention_mask"].numpy() == 1
            answers.setdefault(name, []).append((_flat(name, expected, real), _flat(name, quantized[name], real)))
    return min(_explained(pairs) for pairs in answers.values())


def _written_alike(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    rows: Sequence[Mapping[str, Any]],
    ending: str,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Logits of both formats along what is to be written."""
    sessions = [open_sequences(*files_beside(folder / main_file(folder, name))) for name in (FULL, ending)]
    batches: list[Mapping[str, torch.Tensor]] = []
    if tokenizer is not None and len(rows):
        step, collate = -(-len(rows) // _MAX_ROWS), pad_rows(tokenizer)
        chosen = [rows[index] for index in range(0, len(rows), step)]
        batches += [collate(chosen[start : start + _BATCH_SIZE]) for start in range(0, len(chosen), _BATCH_SIZE)]
    else:
        length = _MAX_WORDS
        batches.append(
            sequence_inputs(model, tokenizer, batch_size=_NUM_MADE_UP, sequence_length=length, num_written=length)
        )
    found = []
    for batch in batches:
        mask = batch.get(WRITTEN_MASK, torch.ones_like(batch[WRITTEN])).numpy() == 1
        full, quantized = (_flat("logits", written_logits(session, batch), mask) for session in sessions)
        found.append((full, quantized))
    return found


def _flat(name: str, array: NDArray[np.float32], real: Any) -> NDArray[np.float64]:
    """One row for each thing that is answered; padding is left out."""
    if array.ndim == 2 and name in ("start_logits", "end_logits"):
        return np.asarray(array[real].reshape(-1, 1), dtype=np.float64)
    rows = np.asarray(array[real], dtype=np.float64).reshape(-1, array.shape[-1])
    return rows - rows.mean(axis=1, keepdims=True) if name == "logits" and rows.shape[1] > 1 else rows


def _explained(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> float:
    full, quantized = (np.concatenate(column) for column in zip(*pairs, strict=True))
    if not np.isfinite(quantized).all():
        return 0.0
    error, variance = float(((quantized - full) ** 2).sum()), float(((full - full.mean(axis=0)) ** 2).sum())
    if not variance > 0:
        return 1.0 if error <= np.square(full).sum() * (1 - MIN_AGREEMENT) else 0.0
    return max(1.0 - error / variance, 0.0)


def _batches(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    rows: Sequence[Mapping[str, Any]],
    names: set[str],
) -> Iterator[dict[str, torch.Tensor]]:
    step, chosen = -(-len(rows) // _MAX_ROWS) if len(rows) else 1, list[Mapping[str, Any]]()
    if tokenizer is not None and "input_ids" in names:
        chosen = [rows[index] for index in range(0, len(rows), step)] or _made_up(tokenizer)
    if tokenizer is None or not chosen:  # also a tokenizer that does not encode what it decodes
        generator = np.random.default_rng(0)
        yield example_inputs(
            model, tokenizer, batch_size=_IMAGES, sequence_length=_MAX_WORDS, padded=False, generator=generator
        )
        return
    has_choices = takes_choices(model)
    inputs = [item for row in chosen for item in choices_apart({name: row[name] for name in row if name in names})]
    size = _BATCH_SIZE if tokenizer.pad_token_id is not None else 1
    for start in range(0, len(inputs), size):
        batch = tokenizer.pad(inputs[start : start + size], return_tensors="pt")
        yield {name: batch[name][:, None] if has_choices else batch[name] for name in batch if name in names}


def _made_up(tokenizer: PreTrainedTokenizerBase) -> list[Mapping[str, Any]]:
    """Texts of random tokens, short and long, as the tokenizer encodes them."""
    generator = np.random.default_rng(0)
    known = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
    drawn = (generator.choice(known, 1 + number % _MAX_WORDS) for number in range(_NUM_MADE_UP))
    texts = [tokenizer.decode(ids.tolist()) for ids in drawn]
    limit = min(tokenizer.model_max_length, 2 * _MAX_WORDS)
    encoded = [tokenizer(text, truncation=True, max_length=limit) for text in texts]
    return [dict(row) for row in encoded if row["input_ids"]]
