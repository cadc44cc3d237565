"""The collator: pads a batch and mixes rows of Agora's pool into it; it never runs a network."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding, PreTrainedTokenizerBase

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.finetuning.pool import IGNORED_LABEL, Pool, PoolRow, row_key
from optimum_ose.guards import require_config, require_kind


@final
class AgoraDataCollator:
    """`DataCollatorWithPadding` whose training batches also hold rows of the pool.

    A batch of n training rows gets k more, so the number of optimizer steps stays as Trainer computed it. k is n times
    pool size / training set size in expectation (each new row about once an epoch, as if it had been appended to D),
    and never more than `pool_share` n. The draw is a function of the seed, the round and the batch's own rows, not of
    the batches that came before: a resumed run mixes the same batches as an undisturbed one. Batches of other rows
    than the training set's, and all batches outside of training, are padded only.

    Args:
        tokenizer: pads.
        config: `seed` and `pool_share` steer the mixing; a callback takes all its settings from here.
        soft_labels: also return the float tensor "soft_labels" (rows x classes): the labeler's probabilities for
            rows of the pool, one-hot for the others. A plain model does not take this argument.
        soft_targets: put distributions in place of "labels" in training batches, for `soft_cross_entropy`: the
            labeler's for rows of the pool; for training rows a share of it (`labeler_share`) beside the given label.
        pad_to_multiple_of: as in `DataCollatorWithPadding`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        config: AgoraConfig | None = None,
        soft_labels: bool = False,
        soft_targets: bool = False,
        pad_to_multiple_of: int | None = None,
    ) -> None:
        require_kind(tokenizer, PreTrainedTokenizerBase, "tokenizer", "Pass the tokenizer of student and labeler")
        require_config(config, AgoraConfig)
        self.tokenizer = tokenizer
        self.config = config or AgoraConfig()
        self.pool = Pool()
        self._soft_labels, self.soft_targets = soft_labels, soft_targets
        self._pad = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=pad_to_multiple_of)
        self._pad_tokens = DataCollatorForTokenClassification(tokenizer, pad_to_multiple_of=pad_to_multiple_of)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """The padded batch, rows of the pool last.

        Raises:
            InvalidDataError: if the rows have a column that rows of the pool lack.
            InvalidConfigError: if soft labels are asked for and no callback has taken this collator.
        """
        drawn = self._draw(features)
        rows = [*features, *(self._as_row(row, columns=features[0]) for row in drawn)]
        pad = self._pad_tokens if np.ndim(rows[0].get("labels", 0)) else self._pad
        batch: dict[str, torch.Tensor] = dict(pad([dict(row) for row in rows]))
        if self._soft_labels:
            batch["soft_labels"] = self._soften(batch["labels"], drawn)
        if self.soft_targets and self._is_training_batch(features):
            batch["labels"] = self._targets(batch["labels"], features, drawn)
        return batch

    def _draw(self, features: Sequence[Mapping[str, Any]]) -> list[PoolRow]:
        pool = self.pool
        if not pool.rows or not self._is_training_batch(features):
            return []
        keys = [row_key(row) for row in features]
        digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
        generator = np.random.default_rng([self.config.seed, pool.round, int.from_bytes(digest)])
        wanted = math.floor(len(keys) * len(pool.rows) / pool.num_train_rows + generator.random())
        num_rows = min(wanted, math.floor(self.config.pool_share * len(keys)), len(pool.rows))
        return [pool.rows[index] for index in generator.choice(len(pool.rows), size=num_rows, replace=False)]

    def _is_training_batch(self, features: Sequence[Mapping[str, Any]]) -> bool:
        return self.pool.is_open and self.pool.train_keys.issuperset(map(row_key, features))

    def _targets(
        self, labels: torch.Tensor, features: Sequence[Mapping[str, Any]], drawn: Sequence[PoolRow]
    ) -> torch.Tensor:
        targets, share = self._soften(labels, drawn), self.config.labeler_share
        answers = torch.tensor([self.pool.train_answers[row_key(row)] for row in features])
        targets[: len(features)] = (1 - share) * targets[: len(features)] + share * answers
        return targets

    def _as_row(self, row: PoolRow, *, columns: Mapping[str, Any]) -> dict[str, Any]:
        known = {**row.features, "labels": row.label if isinstance(row.label, int) else list(row.label)}
        if missing := sorted(set(columns) - set(known)):
            raise InvalidDataError(
                f"training rows may have the columns {', '.join(sorted(known))} only, as Agora's new rows",
                f"they also have {', '.join(missing)}",
                "Remove these columns, or leave `remove_unused_columns` of TrainingArguments switched on",
            )
        return {name: known[name] for name in columns}

    def _soften(self, labels: torch.Tensor, drawn: Sequence[PoolRow]) -> torch.Tensor:
        if not self.pool.num_labels:
            raise InvalidConfigError(
                "soft labels need an AgoraCallback made with this collator, which knows the number of classes",
                "there is none",
                "Make AgoraCallback(collator, ...) and hand both to the Trainer",
            )
        is_labeled = labels != IGNORED_LABEL
        softened = torch.nn.functional.one_hot(labels * is_labeled, self.pool.num_labels) * is_labeled.unsqueeze(-1)
        softened = softened.float()
        for index, row in enumerate(drawn, start=len(labels) - len(drawn)):
            soft = torch.tensor(row.soft_label)
            softened[index][is_labeled[index]] = soft[torch.tensor(row.label) != IGNORED_LABEL]
        return softened
