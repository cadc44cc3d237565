"""One round of Agora on text: mistakes of the student, new rows near them, their labels, and the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.special import softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration import AgoraConfig
from optimum_ose.core.perturbation import median_nearest_neighbor_distance
from optimum_ose.core.topology import betti_numbers
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.finetuning.labeling import Answers, agreement, answer, answers_per_token, examine, label_of
from optimum_ose.finetuning.perturbation import NeighborReplacement, TextPerturbation
from optimum_ose.finetuning.pool import (
    IGNORED_LABEL,
    Features,
    Label,
    PoolReport,
    PoolRow,
    labeled_rows,
    row_key,
)
from optimum_ose.finetuning.tokens import interpolate
from optimum_ose.modeling.prediction import num_classes

_MAX_SPACING_ROWS = 2048  # training rows that the unit of distance is measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proposal:
    features: Features
    gold: Label  # the origin's true label, which in token classification moved with its tokens
    origin: int


@final
class PoolBuilder:
    """Builds the pool of any round: a function of seed, round, student, labeler and the data sets.

    Args:
        labeler: classifier S over the student's classes and tokens, not trained on the development set.
        tokenizer: shared by labeler and student.
        train_dataset: D, tokenized rows with `labels`.
        dev_dataset: E, tokenized rows with `labels`. None of them, and no row of D, is ever proposed.
        config: of Agora.
        batch_size: rows per forward pass.
        test_dataset: a third set, for the report only.
        perturbation: tau; None: neighbors in the labeler's input embeddings.

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
        test_dataset: Iterable[Mapping[str, Any]] | None = None,
        perturbation: TextPerturbation | None = None,
    ) -> None:
        self._labeler, self._tokenizer, self._config, self._batch_size = labeler, tokenizer, config, batch_size
        self._train, train_labels = self._read(train_dataset)
        self._dev, self._dev_labels = self._read(dev_dataset)
        self._test = self._read(test_dataset) if test_dataset is not None and config.report_test else None
        self.train_keys = frozenset(map(row_key, self._train))
        self.num_train_rows = len(self._train)
        self._known = {*self.train_keys, *map(row_key, self._dev)}
        explored, sampled = config.points_per_row > 0, self._sample(len(self._train))
        self._sources = [*self._dev, *(self._train if explored else ())]
        self._gold = [*self._dev_labels, *(train_labels if explored else ())]
        self._points = self._examine(self._sources).representations
        self._train_points = (
            self._points[len(self._dev) + sampled]
            if explored
            else self._examine([self._train[index] for index in sampled]).representations
        )
        self._unit = median_nearest_neighbor_distance(self._train_points)
        self._tau = perturbation or self._default_tau()
        self.betti = betti_numbers(self._train_points) if config.betti_numbers else None

    def train_answers(self, logits: Sequence[Sequence[float]] | None = None) -> dict[tuple[int, ...], list[float]]:
        """The labeler's distribution for each training row, by its key; its logits are computed if they are not known.

        Raises:
            InvalidDataError: if there is not one array of logits for each row.
        """
        answers: Sequence[ArrayLike] = (
            answer(self._labeler, self._train, tokenizer=self._tokenizer, batch_size=self._batch_size)
            if logits is None
            else logits
        )
        if len(answers) != self.num_train_rows:
            raise InvalidDataError(
                "labeler_logits must answer each training row",
                f"there are {len(answers)} for {self.num_train_rows} rows",
                "Compute them from the same data set, or leave them out",
            )
        return {row_key(row): self._soften(found) for row, found in zip(self._train, answers, strict=True)}

    def build(
        self, student: PreTrainedModel, *, round_number: int, earlier: Sequence[PoolRow] = ()
    ) -> tuple[tuple[PoolRow, ...], PoolReport]:
        """The new rows of a round and its report.

        Args:
            student: as it stands at the end of an epoch; left as it is.
            round_number: as in the report.
            earlier: rows of earlier rounds that stay in the pool; none of them is proposed again.

        Returns:
            Rows in the order of the mistakes, and the report.
        """
        hits = self._hits(student, self._dev, self._dev_labels)
        mistakes = np.flatnonzero([not of_row.all() for of_row in hits])
        generator = np.random.default_rng([self._config.seed, round_number])
        known = self._known | {row_key(row.features) for row in earlier}
        wanted = [(mistakes, self._config.points_per_mistake)]
        if self._config.points_per_row:
            others = np.setdiff1d(np.arange(len(self._sources)), mistakes)
            wanted.append((others, self._config.points_per_row))
        num_wanted = {index: count for sources, count in wanted for index in sources.tolist()}
        partners = {index: partner for sources, _ in wanted for index, partner in self._partners(sources).items()}
        rows, agreements, num_proposed = self._rows_near(num_wanted, partners, known, generator)
        labels = np.concatenate([np.atleast_1d(row.label) for row in rows]) if rows else np.empty(0, dtype=np.int64)
        num_labels = int(student.config.num_labels or 0)
        return rows, PoolReport(
            round=round_number,
            dev_accuracy=float(np.concatenate(hits).mean()),
            test_accuracy=self._test_accuracy(student),
            num_mistakes=len(mistakes),
            num_proposed=num_proposed,
            num_accepted=len(rows),
            label_counts=tuple(np.bincount(labels[labels != IGNORED_LABEL], minlength=num_labels).tolist()),
            gold_agreement=float(np.concatenate(agreements).mean()) if rows else None,
            betti=self._betti_with([*earlier, *rows]),
        )

    def _rows_near(
        self,
        num_wanted: Mapping[int, int],
        partners: Mapping[int, int],
        known: set[tuple[int, ...]],
        generator: np.random.Generator,
    ) -> tuple[tuple[PoolRow, ...], list[NDArray[np.bool_]], int]:
        """Up to `max_attempts` times, propose near each source that still wants rows.

        Returns:
            The accepted rows, whether each one's label is its origin's, and the number of proposals.
        """
        accepted: dict[int, list[tuple[PoolRow, NDArray[np.bool_]]]] = {index: [] for index in num_wanted}
        num_proposed = 0
        for _ in range(self._config.max_attempts):
            wanted = [index for index, rows in accepted.items() for _ in range(num_wanted[index] - len(rows))]
            num_proposed += len(wanted)
            proposed = {row_key(found.features): found for found in self._propose(wanted, partners, generator)}
            for row, agrees in self._label([found for key, found in proposed.items() if key not in known]):
                accepted[row.origin].append((row, agrees))
                known.add(row_key(row.features))
        kept = [entry for rows in accepted.values() for entry in rows]
        return tuple(row for row, _ in kept), [agrees for _, agrees in kept], num_proposed

    def _propose(
        self, wanted: Sequence[int], partners: Mapping[int, int], generator: np.random.Generator
    ) -> list[_Proposal]:
        """One new row near each wanted source: most of them by tau, a share between it and its partner."""
        is_between = generator.random(len(wanted)) < self._config.interpolation_share
        is_between &= np.array([index in partners for index in wanted], dtype=np.bool_)
        by_tau = [index for index, between in zip(wanted, is_between, strict=True) if not between]
        made = iter(self._tau([self._source(index) for index in by_tau], generator=generator) if by_tau else ())
        special = self._tokenizer.all_special_ids
        found = []
        for index, between in zip(wanted, is_between, strict=True):
            if between:
                mine, other = self._source(index), self._source(partners[index])
                row: Features = interpolate(mine, other, special_ids=special, generator=generator)
            else:
                row = next(made)
            gold = row.get("labels", self._gold[index])
            inputs = {name: values for name, values in row.items() if name != "labels"}
            found.append(_Proposal(features=inputs, gold=gold, origin=index))
        return found

    def _label(self, proposed: Sequence[_Proposal]) -> list[tuple[PoolRow, NDArray[np.bool_]]]:
        """The proposals at the right distance from their origins, with the labeler's labels."""
        if not proposed:
            return []
        origins = np.array([found.origin for found in proposed])
        answers = self._examine([found.features for found in proposed])
        distances = np.linalg.norm(answers.representations - self._points[origins], axis=1) / self._unit
        near = (self._config.min_distance <= distances) & (distances <= self._config.max_distance)
        rows = []
        for found, logits in ((proposed[k], answers.logits[k]) for k in np.flatnonzero(near).tolist()):
            label = label_of(logits, found.gold)
            row = PoolRow(features=found.features, label=label, soft_label=self._soften(logits), origin=found.origin)
            rows.append((row, agreement(label, found.gold)))
        return rows

    def _soften(self, logits: ArrayLike) -> list[Any]:
        soft = softmax(np.asarray(logits, dtype=np.float64) / self._config.label_temperature, axis=-1)
        return list(soft.tolist())

    def _source(self, index: int) -> Features:
        """A row as tau gets it: in token classification with the labels of its tokens."""
        row, gold = self._sources[index], self._gold[index]
        return row if isinstance(gold, int) else {**row, "labels": gold}

    def _partners(self, sources: NDArray[np.intp]) -> dict[int, int]:
        """For each source the nearest other one, with which it may be interpolated."""
        if len(sources) < 2:
            return {}
        points = self._points[sources]
        _, nearest = cKDTree(points).query(points, k=2)
        others = np.where(nearest[:, 0] == np.arange(len(sources)), nearest[:, 1], nearest[:, 0])
        return dict(zip(sources.tolist(), sources[others].tolist(), strict=True))

    def _hits(self, model: PreTrainedModel, rows: Sequence[Features], gold: Sequence[Label]) -> list[NDArray[np.bool_]]:
        found = answer(model, rows, tokenizer=self._tokenizer, batch_size=self._batch_size)
        return [agreement(label_of(logits, label), label) for logits, label in zip(found, gold, strict=True)]

    def _test_accuracy(self, student: PreTrainedModel) -> float | None:
        return None if self._test is None else float(np.concatenate(self._hits(student, *self._test)).mean())

    def _betti_with(self, rows: Sequence[PoolRow]) -> tuple[int, ...] | None:
        if self.betti is None or not rows:
            return self.betti
        added = self._examine([row.features for row in rows]).representations
        return betti_numbers(np.concatenate([self._train_points, added]))

    def _default_tau(self) -> TextPerturbation:
        return NeighborReplacement.among_embeddings_of(
            self._labeler,
            self._tokenizer,
            probability=self._config.replacement_probability,
            num_neighbors=self._config.num_neighbors,
        )

    def _sample(self, num_rows: int) -> NDArray[np.intp]:
        """Training rows that the unit of distance is measured on."""
        generator = np.random.default_rng(self._config.seed)
        return generator.choice(num_rows, size=min(num_rows, _MAX_SPACING_ROWS), replace=False)

    def _read(self, dataset: Iterable[Mapping[str, Any]]) -> tuple[list[Features], list[Label]]:
        return labeled_rows(
            dataset,
            input_names=self._tokenizer.model_input_names,
            per_token=answers_per_token(self._labeler),
            num_classes=num_classes(self._labeler),
        )

    def _examine(self, rows: Sequence[Features]) -> Answers:
        return examine(self._labeler, rows, tokenizer=self._tokenizer, batch_size=self._batch_size)
