"""One round of Agora on text: mistakes of the student, new rows near them, their labels, and the report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration import AgoraConfig
from optimum_ose.core.perturbation import median_nearest_neighbor_distance
from optimum_ose.finetuning.labeling import Answers, examine
from optimum_ose.finetuning.pool import Features, PoolRow, labeled_rows, row_key
from optimum_ose.finetuning.tokens import TokenNeighbors, interpolate, replace_tokens
from optimum_ose.modeling.prediction import predict_logits

_MAX_SPACING_ROWS = 2048  # training rows that the unit of distance is measured on
_INTERPOLATION_SHARE = 0.25  # proposals of the second kind


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """What one round did.

    Args:
        round: 1 after the first epoch.
        dev_accuracy: of the student when the round began. Optimistic from round 2 on: these rows steer the data.
        num_mistakes: development rows that the student gets wrong.
        num_proposed: new rows that tau proposed.
        num_accepted: those at the right distance, which form the pool.
        label_counts: rows of the pool per class.
        gold_agreement: share of the pool whose label is that of its mistake's true label; None for an empty pool.
    """

    round: int
    dev_accuracy: float
    num_mistakes: int
    num_proposed: int
    num_accepted: int
    label_counts: tuple[int, ...]
    gold_agreement: float | None


@final
class PoolBuilder:
    """Builds the pool of any round: a function of seed, round, student, labeler and the two data sets.

    Args:
        labeler: classifier S over the student's classes and tokens, not trained on the development set.
        tokenizer: shared by labeler and student.
        train_dataset: D, tokenized rows with `labels`.
        dev_dataset: E, tokenized rows with `labels`. None of them, and no row of D, is ever proposed.
        config: of Agora.
        batch_size: rows per forward pass.

    Raises:
        InvalidDataError: if a set is empty, unlabeled, or D holds fewer than two different rows.
        UnsupportedModelError: if the labeler does not show its hidden states.
    """

    def __init__(
        self,
        labeler: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        train_dataset: Iterable[Mapping[str, Any]],
        dev_dataset: Iterable[Mapping[str, Any]],
        config: AgoraConfig,
        batch_size: int,
    ) -> None:
        names = tokenizer.model_input_names
        train, _ = labeled_rows(train_dataset, input_names=names)
        self._dev, dev_labels = labeled_rows(dev_dataset, input_names=names)
        self._gold = np.array(dev_labels)
        self._labeler, self._tokenizer, self._config, self._batch_size = labeler, tokenizer, config, batch_size
        self.train_keys = frozenset(map(row_key, train))
        self.num_train_rows = len(train)
        self._known = self.train_keys | frozenset(map(row_key, self._dev))
        self._dev_points = self._examine(self._dev).representations
        self._unit = self._spacing(train)
        embeddings = labeler.get_input_embeddings().get_parameter("weight").detach().float().cpu().numpy()
        self._neighbors = TokenNeighbors(embeddings, tokenizer, num_neighbors=config.num_neighbors)

    def build(self, student: PreTrainedModel, *, round_number: int) -> tuple[tuple[PoolRow, ...], PoolReport]:
        """The pool of a round and its report.

        Args:
            student: as it stands at the end of an epoch; left as it is.
            round_number: 1 after the first epoch.

        Returns:
            Rows in the order of the mistakes, and the report.
        """
        logits = predict_logits(student, self._dev, tokenizer=self._tokenizer, batch_size=self._batch_size)
        is_right = logits.argmax(axis=1) == self._gold
        mistakes = np.flatnonzero(~is_right)
        rows, num_proposed = self._rows_near(mistakes, np.random.default_rng([self._config.seed, round_number]))
        labels = np.array([row.label for row in rows], dtype=np.int64)
        agreement = labels == self._gold[[row.origin for row in rows]] if rows else None
        return rows, PoolReport(
            round=round_number,
            dev_accuracy=float(is_right.mean()),
            num_mistakes=len(mistakes),
            num_proposed=num_proposed,
            num_accepted=len(rows),
            label_counts=tuple(np.bincount(labels, minlength=logits.shape[1]).tolist()),
            gold_agreement=None if agreement is None else float(agreement.mean()),
        )

    def _rows_near(self, mistakes: NDArray[np.intp], generator: np.random.Generator) -> tuple[tuple[PoolRow, ...], int]:
        """Up to `max_attempts` times, propose near each mistake that still wants rows; also the number of proposals."""
        accepted: dict[int, list[PoolRow]] = {int(index): [] for index in mistakes}
        partners = self._partners(mistakes)
        known, num_proposed = set(self._known), 0
        for _ in range(self._config.max_attempts):
            proposed: dict[tuple[int, ...], tuple[int, Features]] = {}
            for index, rows in accepted.items():
                for _ in range(self._config.points_per_mistake - len(rows)):
                    features = self._propose(index, partners.get(index), generator)
                    num_proposed += 1
                    if (key := row_key(features)) not in known:
                        proposed[key] = (index, features)
            for row in self._label(list(proposed.values())):
                accepted[row.origin].append(row)
                known.add(row_key(row.features))
        return tuple(row for rows in accepted.values() for row in rows), num_proposed

    def _propose(self, index: int, partner: int | None, generator: np.random.Generator) -> Features:
        if partner is not None and generator.random() < _INTERPOLATION_SHARE:
            special = self._tokenizer.all_special_ids
            return interpolate(self._dev[index], self._dev[partner], special_ids=special, generator=generator)
        return replace_tokens(
            self._dev[index],
            neighbors=self._neighbors,
            probability=self._config.replacement_probability,
            generator=generator,
        )

    def _label(self, proposed: list[tuple[int, Features]]) -> list[PoolRow]:
        """The proposals at the right distance from their origins, with the labeler's labels."""
        if not proposed:
            return []
        origins = np.array([index for index, _ in proposed])
        answers = self._examine([features for _, features in proposed])
        distances = np.linalg.norm(answers.representations - self._dev_points[origins], axis=1) / self._unit
        near = (self._config.min_distance <= distances) & (distances <= self._config.max_distance)
        soft = softmax(answers.logits.astype(np.float64) / self._config.label_temperature, axis=1)
        return [
            PoolRow(
                features=proposed[k][1],
                label=int(answers.labels[k]),
                soft_label=tuple(soft[k].tolist()),
                origin=proposed[k][0],
            )
            for k in np.flatnonzero(near)
        ]

    def _partners(self, mistakes: NDArray[np.intp]) -> dict[int, int]:
        """For each mistake the nearest other one, with which it may be interpolated."""
        if len(mistakes) < 2:
            return {}
        points = self._dev_points[mistakes]
        _, nearest = cKDTree(points).query(points, k=2)
        others = np.where(nearest[:, 0] == np.arange(len(mistakes)), nearest[:, 1], nearest[:, 0])
        return dict(zip(mistakes.tolist(), mistakes[others].tolist(), strict=True))

    def _spacing(self, train: list[Features]) -> float:
        generator = np.random.default_rng(self._config.seed)
        chosen = generator.choice(len(train), size=min(len(train), _MAX_SPACING_ROWS), replace=False)
        return median_nearest_neighbor_distance(self._examine([train[index] for index in chosen]).representations)

    def _examine(self, rows: list[Features]) -> Answers:
        return examine(self._labeler, rows, tokenizer=self._tokenizer, batch_size=self._batch_size)
