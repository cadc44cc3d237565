"""Turns checked splits into token rows and batches of rows of like length."""

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import (
    BatchEncoding,
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

from optimum_ose.data.groups import GROUP_COLUMNS, group_columns
from optimum_ose.data.labels import row_labels
from optimum_ose.data.targets import NO_CLASS
from optimum_ose.data.words import first_tokens_of_rows, tags_on_first_tokens, text_of
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.preprocessing import (
    SOUND,
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

TEACHER_LOGITS = "teacher_logits"
"""Column of what the teacher answers to a row."""
_LOGGER = logging.getLogger(__name__)
MASKED_SHARE = 0.15
"""Share of the tokens that a masked language model guesses. Source: Devlin et al., arXiv:1810.04805."""


def unlabeled_rows(rows: Dataset, *, like: Dataset) -> Dataset:
    """Token rows with labels that say that there is none, of the kind that other rows have.

    Args:
        rows: token rows.
        like: token rows with `labels`.
    """
    example = like["labels"][0]
    lengths = [1] * len(rows) if SOUND in rows.column_names else row_lengths(rows)  # frames have no labels of their own
    none = [_no_label(example, length) for length in lengths]
    kept = rows.remove_columns("labels") if "labels" in rows.column_names else rows
    labeled = kept.add_column("labels", none).select_columns(list(like.column_names))
    return labeled.cast(like.features)


def _no_label(example: Any, num_tokens: int) -> Any:
    """What stands for no label where others look like the example."""
    if _are_tags(example):
        return [NO_CLASS] * num_tokens
    if isinstance(example, list):
        return [math.nan] * len(example)
    return math.nan if isinstance(example, float) else NO_CLASS


def tokenize(
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    on_cut: Callable[[int], None] | None = None,
) -> Dataset:
    """Token rows: `input_ids`, `attention_mask`, maybe `token_type_ids`, and `labels`; not padded.

    Columns of groups are kept. Words are tokenized as one text, joined by spaces, as served texts are. A tag labels the
    first token of its word; all other tokens have the label -100. Rows without a label column get no `labels`. Rows
    without a token, which no model can answer, are left out: `with_tokens` tells which are kept.

    Args:
        rows: columns `text`, maybe `text_pair`, or `tokens`; and maybe `label`. An empty partner counts as none, as in
            serving.
        tokenizer: the teacher's, which is also the student's.
        max_length: longer rows are cut.
        on_cut: hears how many rows were cut; of tokenizers without a fast form never.

    Raises:
        InvalidDataError: if words are to be tagged and the tokenizer does not say which token belongs to which, or no
            row has a token.
    """
    if "tokens" in rows.column_names:
        return _tokenize_words(rows, tokenizer, max_length=max_length, on_cut=on_cut)
    pairs = rows["text_pair"][:] if "text_pair" in rows.column_names else None
    encoded = _encoded(rows["text"][:], pairs, tokenizer, max_length=max_length, on_cut=on_cut) | group_columns(rows)
    if "label" not in rows.column_names:
        return _without_empty(encoded)
    return _without_empty({**encoded, "labels": row_labels(rows)})


def with_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Dataset:
    """The rows of which `tokenize` makes token rows: those that have a token."""
    texts = [text_of(words) for words in rows["tokens"]] if "tokens" in rows.column_names else rows["text"][:]
    pairs = rows["text_pair"][:] if "text_pair" in rows.column_names else None
    kept = _rows_with_tokens(_encoded(texts, pairs, tokenizer, max_length=max_length, on_cut=None)["input_ids"])
    return rows if len(kept) == len(rows) else rows.select(kept)


def _rows_with_tokens(input_ids: Sequence[Sequence[int]]) -> list[int]:
    return [index for index, ids in enumerate(input_ids) if len(ids)]


def _without_empty(columns: Mapping[str, list[Any]]) -> Dataset:
    """Token rows of columns; those without a token are left out, and counted in the log.

    Raises:
        InvalidDataError: if none is left.
    """
    made = Dataset.from_dict(dict(columns))
    kept = _rows_with_tokens(columns["input_ids"])
    if len(kept) == len(made):
        return made
    if not kept:
        raise InvalidDataError(
            "At least one row must have a token",
            f"the tokenizer makes none of any of the {len(made):,} texts, and adds no special tokens",
            "Check the texts and the tokenizer.json of the teacher",
        )
    _LOGGER.warning(
        "%d of %d rows are left out: the tokenizer makes no token of their text", len(made) - len(kept), len(made)
    )
    return made.select(kept).flatten_indices()


def word_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> list[list[int | None]]:
    """For each row of the column `tokens` the index of each word's first token: see `words.first_tokens`."""
    encoded = tokenizer([text_of(words) for words in rows["tokens"]], truncation=True, max_length=max_length)
    return first_tokens_of_rows(rows["tokens"][:], encoded.encodings or ())


def _encoded(
    texts: list[str],
    pairs: list[str | None] | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    on_cut: Callable[[int], None] | None,
) -> dict[str, list[Any]]:
    """Columns of inputs; rows with an empty partner are tokenized without it."""
    if not texts:
        return {"input_ids": [], "attention_mask": []}
    alone = [index for index, pair in enumerate(pairs or [None] * len(texts)) if not pair]
    paired = [] if pairs is None or len(alone) == len(texts) else sorted(set(range(len(texts))) - set(alone))
    columns: dict[str, list[Any]] = {}
    num_cut = 0
    for members in filter(None, (alone, paired)):
        partners = [pairs[index] for index in members] if pairs is not None and members is paired else None
        found = tokenizer([texts[index] for index in members], partners, truncation=True, max_length=max_length)
        num_cut += _num_cut(found)
        for name, values in found.items():
            column = columns.setdefault(name, [None] * len(texts))
            for index, value in zip(members, values, strict=True):
                column[index] = value
    if on_cut is not None:
        on_cut(num_cut)
    return columns


def _num_cut(encoded: BatchEncoding) -> int:
    return sum(bool(encoding.overflowing) for encoding in encoded.encodings or ())


def _tokenize_words(
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    on_cut: Callable[[int], None] | None,
) -> Dataset:
    if not tokenizer.is_fast:
        raise InvalidDataError(
            "Token classification needs a tokenizer that tells which token belongs to which word",
            f"{type(tokenizer).__name__} does not",
            "Use a teacher with a tokenizer.json",
        )
    texts = [text_of(words) for words in rows["tokens"]]
    if not texts:
        return Dataset.from_dict({"input_ids": [], "attention_mask": [], "labels": []})
    encoded = tokenizer(texts, truncation=True, max_length=max_length)
    if on_cut is not None:
        on_cut(_num_cut(encoded))
    columns = dict(encoded)
    if "label" in rows.column_names:
        first = first_tokens_of_rows(rows["tokens"][:], encoded.encodings or ())
        columns["labels"] = [
            tags_on_first_tokens(tokens, tags, len(ids))
            for tokens, tags, ids in zip(first, rows["label"], encoded["input_ids"], strict=True)
        ]
    return _without_empty(columns)


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
        has_tags = _are_tags(kept[0].get("labels"))
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


def _are_tags(labels: Any) -> bool:
    return isinstance(labels, list) and all(isinstance(label, int) for label in labels)


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
