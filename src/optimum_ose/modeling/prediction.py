"""Inference over rows: what a model answers, tokens batched by length, images as they come."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin, SequenceFeatureExtractor

from optimum_ose.data.batching import pad_rows
from optimum_ose.data.groups import GROUP_COLUMNS
from optimum_ose.data.tokenization import TEACHER_LOGITS
from optimum_ose.preprocessing import NO_INPUTS, WRITTEN_MASK, Preprocessor
from optimum_ose.tasks.parts.pooling import SentencePooling, pooling_of
from optimum_ose.tasks.parts.spans import span_logits

_MEAN = SentencePooling()
"""Of models that do not say how they pool."""


def predict_logits(
    model: PreTrainedModel,
    rows: Sequence[Mapping[str, Any]],
    *,
    tokenizer: Preprocessor,
    batch_size: int = 64,
    on_rows: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """What a model answers to n rows, in their order. Its training flags are as before afterwards.

    Args:
        model: not changed.
        rows: token rows, or images.
        tokenizer: pads; of images their processor.
        batch_size: rows per forward pass.
        on_rows: hears after each pass how many rows are answered.

    Returns:
        Logits, shape (n, classes); of a model that answers each token, those of all tokens, row after row, shape
        (tokens, classes); of a model that finds spans, `spans.span_logits` of all tokens, shape (tokens, 2); of a model
        without a head, the vector of each row, pooled as its config says, shape (n, width).
    """
    pooling = pooling_of(model.config)

    def answer(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return answers_of(model(**batch), batch, pooling).float().cpu()

    with evaluating(model):
        return gather_answers(answer, model, rows, tokenizer=tokenizer, batch_size=batch_size, on_rows=on_rows)


def answers_of(output: Any, batch: Mapping[str, torch.Tensor], pooling: SentencePooling = _MEAN) -> torch.Tensor:
    """What a model answers, in the form of `predict_logits`, but padded: shape (rows, size) or (rows, tokens, size)."""
    if "start_logits" in output:
        return span_logits(output, batch["attention_mask"])
    if "logits" in output:
        return output.logits  # type: ignore[no-any-return]
    return pooling(output.last_hidden_state, batch["attention_mask"])


def gather_answers(
    answer: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    model: PreTrainedModel,
    rows: Sequence[Mapping[str, Any]],
    *,
    tokenizer: Preprocessor,
    batch_size: int,
    on_rows: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """What a function answers to batches of n rows, in the order of the rows, as `predict_logits` gives it.

    Args:
        answer: of padded inputs, shape (rows, size) or (rows, tokens, size).
        model: on whose device the batches are.
        rows: token rows, or images.
        tokenizer: pads.
        batch_size: rows per batch.
        on_rows: hears after each batch how many rows are answered.
    """
    batches = length_sorted_batches(model, rows, tokenizer=tokenizer, batch_size=batch_size)
    answers = answers_in_order(answer, batches, num_rows=len(rows), on_rows=on_rows)
    return answers if len(rows) else np.empty((0, num_classes(model)), dtype=np.float32)


def answers_in_order(
    answer: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    batches: Iterable[tuple[list[int], Mapping[str, torch.Tensor]]],
    *,
    num_rows: int,
    on_rows: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """What a function answers to batches, in the order of the rows; see `gather_answers`.

    Args:
        answer: of padded inputs.
        batches: as `length_sorted_batches` gives them.
        num_rows: rows in all batches, at least 1.
        on_rows: hears after each batch how many rows are answered.
    """
    num_answered = 0
    answers: list[NDArray[np.float32]] = [np.empty((0, 0), dtype=np.float32)] * num_rows
    for indices, batch in batches:
        found = answer(batch)
        has_padding = found.ndim > 2 and len(found) > 1
        masks = answered_tokens(batch).bool().cpu() if has_padding else [...] * len(found)
        for index, of_row, mask in zip(indices, found if found.ndim > 2 else found[:, None], masks, strict=True):
            answers[index] = of_row[mask].numpy()
        num_answered += len(indices)
        if on_rows is not None:
            on_rows(num_answered)
    return np.concatenate(answers) if answers else np.empty((0, 0), dtype=np.float32)


def answered_tokens(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """1 where a token is answered: of what is written where there is a decoder, else of what is read."""
    return batch[WRITTEN_MASK] if WRITTEN_MASK in batch else batch["attention_mask"]


def real_tokens(batch: Mapping[str, torch.Tensor], shown: torch.Tensor) -> torch.Tensor:
    """1 where a token is no padding, shape (rows, tokens): the batch's mask; all of an image's patches, and
    of a sound's frames, are real.

    Args:
        batch: model inputs.
        shown: hidden states or attention probabilities of the batch, shape (rows, ..., tokens, size).
    """
    mask = _of_sequences(batch["attention_mask"]) if "attention_mask" in batch else None
    if mask is not None and mask.shape[1] == shown.shape[-2]:  # that of a waveform is of its samples, not its frames
        return mask
    return torch.ones((shown.shape[0], shown.shape[-2]), dtype=torch.long, device=shown.device)


def token_mask(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """`real_tokens` of a model's own hidden states; where the batch has no mask, the model runs on its first row."""
    if "attention_mask" in batch:
        return _of_sequences(batch["attention_mask"])
    first = {name: values[:1] for name, values in batch.items()}
    with evaluating(model):
        mask = real_tokens(first, model(**first, output_hidden_states=True).hidden_states[-1])
    return mask.repeat(len(next(iter(batch.values()))), 1)


def _of_sequences(mask: torch.Tensor) -> torch.Tensor:
    """A mask of shape (sequences, tokens); the choices of a question are sequences of their own."""
    return mask.flatten(0, 1) if mask.ndim > 2 else mask


def num_classes(model: PreTrainedModel) -> int:
    """Number of classes of a classifier."""
    return int(model.config.num_labels or 0)


def length_sorted_batches(
    model: PreTrainedModel, rows: Sequence[Mapping[str, Any]], *, tokenizer: Preprocessor, batch_size: int
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Row indices and padded inputs on the model's device, rows of like length together; without labels."""
    collate = pad_rows(tokenizer)
    kept = list(rows) if isinstance(tokenizer, PreTrainedTokenizerBase) else rows  # others are opened batch by batch
    order = list(range(len(kept)))
    if kept is not rows:
        order.sort(key=lambda index: len(kept[index]["input_ids"]))
    if isinstance(tokenizer, SequenceFeatureExtractor | ProcessorMixin):
        batch_size = 1  # padding would change what many models of sound answer, and a served sound has none
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        batch = collate([_inputs_of(kept[index]) for index in indices])
        yield indices, {name: tensor.to(model.device) for name, tensor in batch.items() if name not in NO_INPUTS}


def _inputs_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in (*NO_INPUTS, TEACHER_LOGITS, *GROUP_COLUMNS)}


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every submodule has its own training flag back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def torch_threads(num_threads: int) -> Iterator[None]:
    """So many intra-op threads in the block; as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
