"""Judges vectors of texts: by scores of pairs, by relevant documents, or by how the teacher compares texts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score
from transformers import PreTrainedTokenizerBase

from optimum_ose.data.sentences import DOCUMENT, RELEVANT, TEXTS, single_texts
from optimum_ose.data.tokenization import tokenize
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.judge import Answers, Questions
from optimum_ose.tasks.parts.metrics import correlations
from optimum_ose.tasks.parts.pooling import SentencePooling

_DEPTH = 10
_DEPTHS = (10, 100)
"""Documents of a ranking that count for nDCG, and for recall."""
_MOST_TEXTS = 1000
"""Texts of which every two are compared with the teacher."""


@final
class SentenceJudge:
    """Cosines of vectors.

    Args:
        pooling: how a model makes the vector of a text.
    """

    def __init__(self, pooling: SentencePooling) -> None:
        self._pooling = pooling

    def name(self, dataset: Dataset) -> str:
        """Spearman's correlation with scores, nDCG@10 of rankings, or the agreement with the teacher."""
        if RELEVANT in dataset.column_names:
            return f"ndcg_at_{_DEPTH}"
        return "spearman" if _has_scores(dataset) else "agreement"

    def questions(self, dataset: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Questions:
        """Each text once."""
        texts = single_texts(dataset)["text"][:]
        rows = tokenize(Dataset.from_dict({"text": texts}), tokenizer, max_length=max_length)
        if len(rows) < len(texts):
            raise InvalidDataError(
                "Every text must have a token", f"{len(texts) - len(rows)} have none", "Remove those rows"
            )
        return Questions(texts=texts, rows=rows, known={"dataset": dataset})

    def answers(self, output: Any, batch: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        """The vectors."""
        return list(self._pooling(output.last_hidden_state, batch["attention_mask"]))

    def served(self, pipeline: OnnxPipeline, questions: Questions) -> Answers:
        """The vectors; of a folder that gives one for each token, pooled here."""
        return [self._vector(found) for found in pipeline(list(questions.texts))]

    def _vector(self, found: Any) -> NDArray[np.float32]:
        vectors = torch.as_tensor(np.asarray(found, dtype=np.float32))
        if vectors.ndim > 1:  # (1, tokens, width)
            vectors = self._pooling(vectors, torch.ones(vectors.shape[:2], dtype=torch.long))[0]
        return np.asarray(vectors.numpy())

    def scores(self, answers: Answers, questions: Questions, teacher: Callable[[], Answers]) -> dict[str, float]:
        """`spearman` and `pearson`; or `ndcg_at_10`, `recall_at_10` and `recall_at_100`; or `agreement`."""
        dataset, vectors = questions.known["dataset"], _unit(answers)
        if RELEVANT in dataset.column_names:
            return _ranking_scores(vectors, questions.texts, dataset)
        if _has_scores(dataset):
            return correlations(_pair_cosines(vectors, questions.texts, dataset), np.asarray(dataset["label"][:]))
        found, wanted = (_similarities(part[:_MOST_TEXTS]) for part in (vectors, _unit(teacher())))
        return {"agreement": correlations(found, wanted)["spearman"]}


def _has_scores(dataset: Dataset) -> bool:
    """Whether pairs of texts have a score."""
    return {"label", TEXTS[1]} <= set(dataset.column_names)


def _unit(answers: Any) -> NDArray[np.float64]:
    """Vectors of length 1, shape (texts, width); those of zeros stay."""
    vectors = np.asarray(answers, dtype=np.float64)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _pair_cosines(vectors: NDArray[np.float64], texts: Sequence[str], dataset: Dataset) -> NDArray[np.float64]:
    place = {text: index for index, text in enumerate(texts)}
    first, second = ([place[text] for text in dataset[name]] for name in TEXTS[:2])
    return np.asarray((vectors[first] * vectors[second]).sum(axis=1))


def _similarities(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines of every two texts, each pair once."""
    return np.asarray((vectors @ vectors.T)[np.triu_indices(len(vectors), k=1)])


def _ranking_scores(vectors: NDArray[np.float64], texts: Sequence[str], dataset: Dataset) -> dict[str, float]:
    """NDCG with the gains as they are, and recall, of all documents ranked by their cosine to each query."""
    place = {text: index for index, text in enumerate(texts)}
    documents = {row[DOCUMENT]: place[row["text"]] for row in dataset if row[DOCUMENT] is not None}
    index_of = {name: number for number, name in enumerate(documents)}
    matrix = vectors[list(documents.values())]
    found: dict[str, list[float]] = {f"ndcg_at_{_DEPTH}": [], **{f"recall_at_{depth}": [] for depth in _DEPTHS}}
    for row in dataset:
        if row[DOCUMENT] is not None:
            continue
        gains = np.zeros(len(documents))
        for relevant in row[RELEVANT]:
            gains[index_of[relevant["document"]]] = relevant["gain"]
        cosines = matrix @ vectors[place[row["text"]]]
        found[f"ndcg_at_{_DEPTH}"].append(float(ndcg_score(gains[None], cosines[None], k=_DEPTH)))
        ranked = np.argsort(-cosines, kind="stable")
        for depth in _DEPTHS:
            found[f"recall_at_{depth}"].append(float((gains[ranked[:depth]] > 0).sum() / (gains > 0).sum()))
    return {name: float(np.mean(values)) for name, values in found.items()}
