"""Batches of token rows: padded, of like length, in an order that follows from a seed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForMultipleChoice,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    SequenceFeatureExtractor,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.trainer_pt_utils import get_length_grouped_indices

from optimum_ose.data.groups import GROUP_COLUMNS
from optimum_ose.data.targets import NO_CLASS
from optimum_ose.data.tokenization import TEACHER_LOGITS, are_tags
from optimum_ose.preprocessing import (
    WRITTEN,
    WRITTEN_MASK,
    Collate,
    Preprocessor,
    holds_choices,
    process_images,
    process_sounds,
    process_speech,
    row_lengths,
)

MASKED_SHARE = 0.15
"""Share of the tokens that a masked language model guesses. Source: Devlin et al., arXiv:1810.04805."""


def pad_rows(tokenizer: Preprocessor) -> Collate:
    """A collator of token rows; of images and sounds those of `preprocessing`.

    Whole numbers in lists are labels of tokens, and padded with -100; a teacher's answers to tokens, in lists of lists,
    are padded with zeros; all else is as `DataCollatorWithPadding` leaves it.
    """
    if isinstance(tokenizer, BaseImageProcessor):
        return process_images(tokenizer)
    if isinstance(tokenizer, SequenceFeatureExtractor):
        return process_sounds(tokenizer)
    if isinstance(tokenizer, ProcessorMixin):
        return process_speech(tokenizer)
    plain = DataCollatorWithPadding(tokenizer)
    per_token = DataCollatorForTokenClassification(tokenizer)
    per_choice = partial(_pad_choices, DataCollatorForMultipleChoice(tokenizer))

    def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        kept = [{name: row[name] for name in row if name not in (TEACHER_LOGITS, *GROUP_COLUMNS)} for row in rows]
        written = _pad_written(tokenizer, kept) if WRITTEN in kept[0] else {}
        kept = [{name: row[name] for name in row if name not in written} for row in kept]
        has_tags = are_tags(kept[0].get("labels"))
        pad: Any = per_choice if _has_choices(kept[0]) else per_token if has_tags else plain
        batch: dict[str, torch.Tensor] = {**pad(kept), **written}
        if TEACHER_LOGITS in rows[0]:
            answers = [torch.as_tensor(row[TEACHER_LOGITS], dtype=torch.float32) for row in rows]
            batch[TEACHER_LOGITS] = torch.nn.utils.rnn.pad_sequence(
                answers, batch_first=True, padding_side=tokenizer.padding_side if answers[0].ndim > 1 else "right"
            )
        return batch

    return collate


def language_collator(tokenizer: PreTrainedTokenizerBase, *, masked: bool, seed: int) -> Collate:
    """A collator that makes `labels` of the text itself: of masked tokens, or of every token that is not padding.

    Which tokens are masked is a function of the seed and of the batch's own rows, so a resumed run masks as an
    undisturbed one; rows meet other rows in each epoch, and other masks.

    Args:
        tokenizer: pads, and knows the mask.
        masked: whether tokens are masked, and those are to be guessed.
        seed: of the masks.
    """
    label = DataCollatorForLanguageModeling(tokenizer, mlm=masked, mlm_probability=MASKED_SHARE)

    def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        kept = [{name: value for name, value in row.items() if name in tokenizer.model_input_names} for row in rows]
        content = repr([seed, *(row["input_ids"] for row in kept)]).encode()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int.from_bytes(hashlib.blake2b(content, digest_size=7).digest()))
            return dict(label(kept))

    return collate


def _pad_written(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """What a decoder gets, and its labels, if there are any, padded on the right."""
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    fills = {WRITTEN: int(pad_id), WRITTEN_MASK: 0, "labels": NO_CLASS}
    return {
        name: torch.nn.utils.rnn.pad_sequence(
            [torch.as_tensor(row[name], dtype=torch.long) for row in rows], batch_first=True, padding_value=fill
        )
        for name, fill in fills.items()
        if name in rows[0]
    }


def _pad_choices(collator: DataCollatorForMultipleChoice, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of questions with as many choices each; the collator wants labels, whether there are any or not."""
    batch: dict[str, torch.Tensor] = dict(collator([{"labels": 0, **row} for row in rows]))
    return batch if "labels" in rows[0] else {name: batch[name] for name in batch if name != "labels"}


def _has_choices(row: Mapping[str, Any]) -> bool:
    return holds_choices(row.get("input_ids", ()))


class LengthGroupedSampler(Sampler[int]):
    """Row indices in a shuffled order in which neighbors are of like length; another order each epoch, the same for
    the same seed.

    Args:
        rows: token rows.
        batch_size: rows per batch.
        seed: seed of the order.
    """

    def __init__(self, rows: Dataset, *, batch_size: int, seed: int) -> None:
        self._lengths = row_lengths(rows)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._batch_size, generator=generator))


def training_batches(
    rows: Dataset, *, batch_size: int, seed: int, collate: Collate
) -> DataLoader[dict[str, torch.Tensor]]:
    """Batches in a shuffled order, neighbors of like length."""
    sampler = LengthGroupedSampler(rows, batch_size=batch_size, seed=seed)
    return DataLoader(rows, batch_size=batch_size, sampler=sampler, collate_fn=collate)


def evaluation_batches(
    rows: Dataset, tokenizer: Preprocessor, *, batch_size: int
) -> DataLoader[dict[str, torch.Tensor]]:
    """Batches, shortest rows first."""
    order = sorted(range(len(rows)), key=row_lengths(rows).__getitem__)
    return DataLoader(rows, batch_size=batch_size, sampler=order, collate_fn=pad_rows(tokenizer))
