"""Token rows of plain text, made part by part: where the texts lie on the disk, so do the rows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from optimum_ose.exceptions import InvalidDataError

_CHUNK = 1000
"""Texts that are tokenized at once."""
_Columns = dict[str, list[Any]]


def token_lines(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, on_cut: Callable[[int], None] | None
) -> Dataset:
    """A token row for each text that has a token.

    Args:
        rows: column `text`.
        tokenizer: the teacher's.
        max_length: longer texts are cut.
        on_cut: hears how many were; of tokenizers without a fast form never.

    Raises:
        InvalidDataError: if no text has a token.
    """
    num_cut = 0

    def encode(texts: dict[str, list[str]]) -> _Columns:
        nonlocal num_cut
        found = tokenizer(texts["text"], truncation=True, max_length=max_length)
        num_cut += sum(bool(encoding.overflowing) for encoding in found.encodings or ())
        kept = [index for index, ids in enumerate(found["input_ids"]) if len(ids)]
        return {name: [values[index] for index in kept] for name, values in found.items()}

    made = _mapped(rows, encode)
    if not len(made):
        raise InvalidDataError(
            "At least one row must have a token", f"none of the {len(rows):,} texts has", "Check the texts"
        )
    if on_cut is not None:
        on_cut(num_cut)
    return made


def packed_blocks(rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Dataset:
    """Blocks of `max_length` tokens of the texts one after the other, each ended by the end-of-text token where the
    tokenizer has one; the last block of each thousand texts may be shorter.

    Args:
        rows: column `text`.
        tokenizer: the teacher's.
        max_length: tokens per block.
    """
    end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]

    def pack(texts: dict[str, list[str]]) -> _Columns:
        found = list(_blocks(tokenizer(texts["text"])["input_ids"], end, max_length))
        return {"input_ids": found, "attention_mask": [[1] * len(block) for block in found]}

    return _mapped(rows, pack)


def _mapped(rows: Dataset, function: Callable[[dict[str, list[str]]], _Columns]) -> Dataset:
    made: Dataset = rows.map(
        function, batched=True, batch_size=_CHUNK, remove_columns=rows.column_names, load_from_cache_file=False
    )
    return made


def _blocks(texts: Sequence[Sequence[int]], end: list[int], max_length: int) -> Iterator[list[int]]:
    block: list[int] = []
    for ids in texts:
        block += [*ids, *([] if list(ids[-1:]) == end else end)]
        while len(block) >= max_length:
            yield block[:max_length]
            block = block[max_length:]
    if len(block) > 1:
        yield block
