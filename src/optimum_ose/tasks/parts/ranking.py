"""A number for a query with a document, by which documents are ranked: squared error to the teacher's, nDCG."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score
from torch.nn import functional as F
from transformers import EvalPrediction, PretrainedConfig

from optimum_ose.data.groups import GROUP
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.tasks.parts.losses import labeled_values
from optimum_ose.tasks.parts.metrics import predicted_logits
from optimum_ose.tasks.parts.problem import Batch
from optimum_ose.tasks.parts.regression import REGRESSION

_PLACES = 10
"""Of a ranking, that count."""
_LIKELY = 0.5
"""From here on a probability stands for a relevant document, where no document is told to be none."""


@final
@dataclass(frozen=True, slots=True)
class RankingMetric:
    """How rankings are judged: nDCG and the mean reciprocal rank of the first ten places, mean over queries.

    The gain of a document is its relevance. Documents with equal scores count as the mean of all their orders in nDCG,
    and in the worst of them in the reciprocal rank.

    Source: Järvelin and Kekäläinen, 2002, as scikit-learn computes it; MS MARCO's MRR@10.
    """

    name: str = "ndcg_at_10"
    score_names: tuple[str, ...] = ("ndcg_at_10", "mrr_at_10")
    trivial_answer: str = "ranking in no order"

    @property
    def needs_groups(self) -> bool:
        """Documents are ranked for each query."""
        return True

    def scores(self, answers: NDArray[Any], rows: Dataset) -> dict[str, float]:
        """All scores of answers to token rows, shape (rows, 1)."""
        return self.judged(self.decided(answers), rows["labels"][:], rows)

    def score(self, answers: NDArray[Any], rows: Dataset) -> float:
        """nDCG@10."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction, rows: Dataset | None = None) -> dict[str, float]:
        """The `compute_metrics` of a Trainer, for rows in the order in which they were answered."""
        return self.judged(self.decided(predicted_logits(prediction)), np.asarray(prediction.label_ids), rows)

    def decided(self, logits: NDArray[Any]) -> NDArray[Any]:
        """The number of each row."""
        return logits.reshape(-1)

    def served(self, answers: Sequence[Any], label_names: Sequence[str]) -> NDArray[Any]:
        """The number of each row."""
        return np.asarray([answer["score"] for answer in answers])

    def judged(self, predictions: Any, references: Any, rows: Dataset | None = None) -> dict[str, float]:
        """All scores of documents, with their relevance, shape (rows,) each; rows tell the query of each.

        Raises:
            InvalidDataError: if rows do not tell it.
        """
        if rows is None or GROUP not in rows.column_names:
            raise InvalidDataError(
                "Rows to rank must say which query each document belongs to (column group)",
                "they have no such column",
                "Pass raw rows with text (the query), text_pair and label",
            )
        return _ranking_scores(np.asarray(predictions), np.asarray(references), np.asarray(rows[GROUP][:]))

    def trivial_score(self, references: Sequence[Any]) -> float:
        """What a ranking in no order scores.

        Args:
            references: relevance and query of each row, shape (rows, 2).
        """
        found = np.asarray(references)
        return _ranking_scores(np.zeros(len(found)), found[:, 0], found[:, 1])[self.name]


def _ranking_scores(found: NDArray[Any], relevance: NDArray[Any], queries: NDArray[Any]) -> dict[str, float]:
    """Queries whose documents are all relevant alike, which no order can rank, do not count."""
    order = np.argsort(queries, kind="stable")
    gains = relevance - min(float(relevance.min(initial=0.0)), 0.0)
    is_relevant = gains > 0 if (gains == 0).any() else gains >= _LIKELY
    values: list[tuple[float, float]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(queries[order])) + 1):
        if np.ptp(gains[rows]) > 0:
            score = ndcg_score([gains[rows]], [found[rows].astype(np.float64)], k=_PLACES)
            values.append((float(score), _reciprocal_rank(found[rows], is_relevant[rows])))
    if not values:
        return {"ndcg_at_10": 0.0, "mrr_at_10": 0.0}
    ndcg, reciprocal = np.mean(values, axis=0)
    return {"ndcg_at_10": float(ndcg), "mrr_at_10": float(reciprocal)}


def _reciprocal_rank(found: NDArray[Any], is_relevant: NDArray[np.bool_]) -> float:
    """1 over the place of the first relevant document among the first ten; 0: there is none."""
    places = np.flatnonzero(is_relevant[np.lexsort((is_relevant, -found))][:_PLACES])
    return 1.0 / (int(places[0]) + 1) if len(places) else 0.0


def _label_loss(output: Any, batch: Batch) -> torch.Tensor:
    """Binary cross-entropy to relevance in [0, 1], as cross-encoders learn; squared error where it lies outside."""
    found, wanted = labeled_values(output.logits, batch["labels"])
    if not len(wanted):
        return output.logits.sum() * 0.0  # type: ignore[no-any-return]
    if wanted.min() < 0 or wanted.max() > 1:
        return F.mse_loss(found, wanted)
    return F.binary_cross_entropy_with_logits(found, wanted)


METRIC = RankingMetric()
"""Of rankings."""
RANKING = replace(
    REGRESSION, name="ranking", label_loss=_label_loss, metric=lambda label_names: METRIC, has_own_loss=True
)
"""A number for a query with a document."""


def require_one_output(config: PretrainedConfig) -> None:
    """Pass if a head answers one number.

    Raises:
        InvalidConfigError: if it has several outputs.
    """
    if config.num_labels != 1:
        raise InvalidConfigError(
            "A reranker must have one output",
            f"the head has {config.num_labels}",
            "Give a cross-encoder with one output, or a model without a head: it is then fine-tuned first "
            "(num_labels=1)",
        )


def settle_reranker(config: PretrainedConfig) -> None:
    """Let the config of a model with one output, in place, say that it scores a query with a document.

    Serving knows it by `served_task`, sentence-transformers as a cross-encoder by an entry of its own.

    Raises:
        InvalidConfigError: if it has several outputs.
    """
    require_one_output(config)
    config.problem_type = "regression"
    config.served_task = "text-ranking"
    if not getattr(config, "sentence_transformers", None):
        config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
