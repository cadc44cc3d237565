"""Compares a model with one of a smaller vocabulary, on texts whose tokens all stayed."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import TrimmingError, UnsupportedModelError
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.length import usable_length
from optimum_ose.modeling.model_inputs import takes_choices
from optimum_ose.wording import first_line, shown

_LONGEST = 128
"""Tokens of a text that is compared; longer ones are cut."""
_BATCH = 32
_ROWS, _TOKENS = 8, 16
"""Of drawn tokens, where no text of the sample has kept tokens only."""
_RELATIVE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of scores of tokens, as a share of the largest score. A product with fewer columns may be summed
in another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared, and found."""

    num_texts: int
    """Texts of the sample whose tokens all stayed. If there is none, rows of drawn tokens are compared instead."""
    num_sampled: int
    """Texts of the sample."""
    identical: bool
    """Whether every number is the same bit for bit. States, vectors and classes always are; only scores of tokens may
    differ in their last digits."""
    largest_difference: float
    """Of two numbers, in absolute value."""


def verify(
    model: PreTrainedModel,
    smaller: PreTrainedModel,
    tokenizers: tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase],
    texts: Sequence[str],
    kept: Sequence[int],
) -> Verification:
    """Compare ids and outputs on the texts whose tokens all stayed.

    Args:
        model: with all tokens.
        smaller: with the kept ones.
        tokenizers: of the two, in this order.
        texts: a sample.
        kept: old ids, in the order of the new ones.

    Raises:
        TrimmingError: if a text has other tokens, or an output differs.
        UnsupportedModelError: if the model does not answer text alone.
    """
    limit = min(_LONGEST, usable_length(model.config, tokenizers[0]) or _LONGEST)
    new = {old: index for index, old in enumerate(kept)}
    before, after = (_ids(tokenizer, texts, limit) for tokenizer in tokenizers)
    whole = [place for place, ids in enumerate(before) if all(index in new for index in ids)]
    for place in whole:
        if [new[index] for index in before[place]] != after[place]:
            raise TrimmingError(
                "A text whose tokens all stay must be cut into the same tokens",
                f"{shown(texts[place])} is not",
                "Please report it, with the model's name",
            )
    rows = [before[place] for place in whole if before[place]] or _drawn(kept)
    differences = output_differences(model, smaller, rows, kept)
    return Verification(
        num_texts=len(whole),
        num_sampled=len(texts),
        identical=not any(differences),
        largest_difference=max(differences, default=0.0),
    )


def output_differences(
    model: PreTrainedModel, smaller: PreTrainedModel, rows: Sequence[list[int]], kept: Sequence[int]
) -> list[float]:
    """The largest difference of each output of each batch, in absolute value.

    Args:
        model: with all tokens.
        smaller: with the kept ones.
        rows: old ids, all of them kept.
        kept: old ids, in the order of the new ones.

    Raises:
        TrimmingError: if an output differs; scores of tokens may in their last digits.
        UnsupportedModelError: if the model does not answer text alone.
    """
    new = {old: index for index, old in enumerate(kept)}
    return [difference for batch in _batches(rows) for difference in _compared(model, smaller, batch, kept, new)]


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> list[list[int]]:
    if not texts:
        return []
    found = tokenizer(list(texts), truncation=True, max_length=limit, padding=False)["input_ids"]
    return [list(ids) for ids in found]


def _drawn(kept: Sequence[int]) -> list[list[int]]:
    generator = np.random.default_rng(0)
    drawn: list[list[int]] = generator.choice(np.array(kept), size=(_ROWS, _TOKENS)).tolist()
    return drawn


def _batches(rows: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Rows of one length together, so that nothing is padded."""
    ordered = sorted(rows, key=len)
    start = 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or end - start == _BATCH or len(ordered[end]) != len(ordered[start]):
            yield ordered[start:end]
            start = end


def _compared(
    model: PreTrainedModel,
    smaller: PreTrainedModel,
    batch: Sequence[list[int]],
    kept: Sequence[int],
    new: Mapping[int, int],
) -> Iterator[float]:
    """The largest difference of each output."""
    columns = torch.tensor(kept)
    before = _outputs(model, torch.tensor(batch))
    after = _outputs(smaller, torch.tensor([[new[index] for index in ids] for ids in batch]))
    for one, other in zip(before, after, strict=True):
        has_scores = one.shape != other.shape
        expected = one.index_select(-1, columns) if has_scores and one.shape[-1] != other.shape[-1] else one
        if expected.shape != other.shape:
            raise _differs(f"an output has the shape {tuple(other.shape)} for {tuple(expected.shape)}")
        if torch.equal(expected, other):
            yield 0.0
            continue
        difference = float((expected.double() - other.double()).abs().max())
        allowed = _RELATIVE.get(one.dtype, 0.0) * max(1.0, float(expected.abs().max())) if has_scores else 0.0
        if not difference <= allowed:
            raise _differs(f"an output differs by up to {difference:.3g}")
        yield difference


def _outputs(model: PreTrainedModel, ids: torch.Tensor) -> list[torch.Tensor]:
    accepted = inspect.signature(model.forward).parameters
    ids = ids[:, None] if takes_choices(model) else ids
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    try:
        with torch.no_grad():
            answer = model(**{name: value for name, value in inputs.items() if name in accepted})
    except BUILD_ERRORS as error:
        raise UnsupportedModelError(
            "A model must answer text alone, so that it can be compared",
            f"{type(model).__name__} raised {type(error).__name__}: {first_line(error)}",
            "Choose a model of text",
        ) from error
    return list(_tensors(tuple(answer.values()) if isinstance(answer, Mapping) else answer))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _differs(what: str) -> TrimmingError:
    return TrimmingError(
        "A text whose tokens all stay must have the same output",
        what,
        "Please report it, with the model's name; nothing was written",
    )
