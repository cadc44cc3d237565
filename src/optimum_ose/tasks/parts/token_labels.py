"""A class for each token, such as the tags of words: cross-entropy, F1 of entities."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from seqeval.metrics import f1_score, precision_score, recall_score
from transformers import EvalPrediction, PreTrainedTokenizerBase

from optimum_ose.data.targets import NO_CLASS
from optimum_ose.data.tokenization import word_tokens
from optimum_ose.tasks.parts.losses import (
    class_label_loss,
    cross_entropy_to_teacher,
    divergences,
    logits_divergence,
    rare_class_counts,
)
from optimum_ose.tasks.parts.metrics import class_scores, predicted_logits
from optimum_ose.tasks.parts.problem import Batch, Problem

_ENTITY_TAG = re.compile(r"O|[BIESLU]-.+")
OUTSIDE = "O"
"""The tag of words outside of entities."""
NO_TAG = -1
"""The predicted tag of a word that has no token."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TagMetric:
    """How tags are judged: F1 of entities where tags mark them (B-, I-, O), else accuracy."""

    label_names: tuple[str, ...] = ()
    """Names of the tags, by index."""
    trivial_answer: str = "always answering one tag"
    """The answer that ignores the input, in words."""

    @property
    def name(self) -> str:
        """The score that decides."""
        return "f1" if self._marks_entities else "accuracy"

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of all scores."""
        return ("accuracy", "f1_macro", *(("precision", "recall", "f1") if self._marks_entities else ()))

    @property
    def _marks_entities(self) -> bool:
        return bool(self.label_names) and all(_ENTITY_TAG.fullmatch(name) for name in self.label_names)

    def scores(self, answers: NDArray[Any], rows: Dataset) -> dict[str, float]:
        """All scores of answers to the tokens of all rows, one after the other, shape (tokens, tags)."""
        ends = np.cumsum([len(ids) for ids in rows["input_ids"]])[:-1]
        return self.judged(np.split(answers.argmax(-1), ends), rows["labels"])

    def score(self, answers: NDArray[Any], rows: Dataset) -> float:
        """The score that decides."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction) -> dict[str, float]:
        """The `compute_metrics` of a Trainer."""
        return self.judged(list(predicted_logits(prediction).argmax(-1)), list(np.asarray(prediction.label_ids)))

    def judged(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """All scores of tags of tokens or of words.

        Args:
            predictions: a tag for each place of each row; `NO_TAG` where a word has no token that could tell one. It
                counts as O, and as wrong where the tags have no O.
            references: the tags that are right; -100 or None: the place does not count.
        """
        none = self.label_names.index(OUTSIDE) if OUTSIDE in self.label_names else NO_TAG
        pairs = []
        for found, wanted in zip(predictions, references, strict=True):
            right = np.asarray([NO_CLASS if tag is None else tag for tag in wanted], dtype=np.int64)
            given = np.asarray(found, dtype=np.int64)
            counted = right != NO_CLASS
            pairs.append((np.where(given == NO_TAG, none, given)[counted], right[counted]))
        scores = class_scores(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)))
        if not self._marks_entities:
            return scores
        named = ([[self._tag_name(tag) for tag in row] for row in rows] for rows in zip(*pairs, strict=True))
        return {**scores, **_entity_scores(*named)}

    def trivial_score(self, references: Sequence[Any]) -> float:
        """What the most frequent tag scores everywhere."""
        tags = np.concatenate([np.asarray(row, dtype=np.int64) for row in references])
        frequent = int(np.bincount(tags[tags >= 0]).argmax()) if (tags >= 0).any() else NO_TAG
        return self.judged([np.full(len(row), frequent) for row in references], references)[self.name]

    def _tag_name(self, tag: int) -> str:
        return OUTSIDE if tag == NO_TAG else self.label_names[tag]


def word_tags(
    answers: NDArray[np.float32],
    rows: Dataset,
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
) -> list[list[int]]:
    """The tag of each word: that of its first token; `NO_TAG` of a word without one.

    Args:
        answers: logits of all tokens, row after row, shape (tokens, tags).
        rows: token rows.
        dataset: the rows that they were made of, with the column `tokens`.
        tokenizer: that made them.
        max_length: at which they were cut.
    """
    ends = np.cumsum([len(ids) for ids in rows["input_ids"]])[:-1]
    first = word_tokens(dataset, tokenizer, max_length=max_length)
    return [
        [NO_TAG if token is None else int(tags[token]) for token in tokens]
        for tags, tokens in zip(np.split(answers.argmax(-1), ends), first, strict=True)
    ]


def _entity_scores(predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
    measures = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    return {name: float(measure(references, predictions, zero_division=0)) for name, measure in measures.items()}


def _real(answers: torch.Tensor, batch: Batch) -> torch.Tensor:
    return answers[batch["attention_mask"].bool()]


def _answers(output: Any, batch: Batch) -> torch.Tensor:
    return _real(output.logits, batch)


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    counts = rare_class_counts(teacher, weight=rare_class_weight) if rare_class_weight > 0 else None
    return logits_divergence(student, teacher, temperature=temperature, counts=counts)


TOKEN_LABELS = Problem(
    name="token-labels",
    mismatch=_mismatch,
    error=cross_entropy_to_teacher,
    excess=divergences,
    label_loss=class_label_loss,
    metric=lambda label_names: TagMetric(label_names=tuple(label_names)),
    answers=_answers,
    kept_answers=_real,
    labels_are_classes=True,
    labels_tokens=True,
)
"""A class for each token. Tokens of rare classes may count more: see `losses.rare_class_counts`."""
