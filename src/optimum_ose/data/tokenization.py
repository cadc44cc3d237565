"""Turns checked splits into token rows and batches of rows of like length."""

from collections.abc import Iterator

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices


def tokenize(rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Dataset:
    """Token rows: `input_ids`, `attention_mask`, maybe `token_type_ids`, and `labels`; not padded.

    Args:
        rows: columns `text`, maybe `text_pair`, and `label`.
        tokenizer: the teacher's, which is also the student's.
        max_length: longer rows are cut.
    """
    pairs = rows["text_pair"][:] if "text_pair" in rows.column_names else None
    encoded = dict(tokenizer(rows["text"][:], pairs, truncation=True, max_length=max_length))
    return Dataset.from_dict({**encoded, "labels": rows["label"][:]})


class LengthGroupedSampler(Sampler[int]):
    """Row indices in a shuffled order in which neighbors are of like length; another order each epoch, the same for
    the same seed.

    Args:
        rows: token rows.
        batch_size: rows per batch.
        seed: seed of the order.
    """

    def __init__(self, rows: Dataset, *, batch_size: int, seed: int) -> None:
        self._lengths = [len(ids) for ids in rows["input_ids"]]
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
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, batch_size: int, seed: int
) -> DataLoader[dict[str, torch.Tensor]]:
    """Padded batches in a shuffled order, neighbors of like length."""
    sampler = LengthGroupedSampler(rows, batch_size=batch_size, seed=seed)
    return DataLoader(rows, batch_size=batch_size, sampler=sampler, collate_fn=DataCollatorWithPadding(tokenizer))


def evaluation_batches(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, batch_size: int
) -> DataLoader[dict[str, torch.Tensor]]:
    """Padded batches, shortest rows first."""
    lengths = [len(ids) for ids in rows["input_ids"]]
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return DataLoader(rows, batch_size=batch_size, sampler=order, collate_fn=DataCollatorWithPadding(tokenizer))
