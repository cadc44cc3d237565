"""Texts that a model makes vectors of: each alone, or in pairs, triplets and collections to compare them."""

from typing import Any, cast

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from optimum_ose.data.sentences import single_texts
from optimum_ose.data.tokenization import tokenize
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.token_rows import require_column
from optimum_ose.tasks.parts.unlabeled import UnlabeledTexts


def _rows(dataset: Dataset, settings: RowSettings) -> Dataset:
    require_column(dataset, "text")
    tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
    return tokenize(single_texts(dataset), tokenizer, max_length=settings.max_length, on_cut=settings.on_cut)


def _samples(pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
    """Cosines of pairs; without pairs, of a text and the next one. Nothing where each token has a vector."""
    texts, golds = dataset["text"][:], list[dict[str, str]]()
    pairs = dataset["text_pair"][:] if "text_pair" in dataset.column_names else texts[1:]
    if "label" in dataset.column_names:
        golds = [{"gold": f"{value:.4g}"} for value in dataset["label"]]
    found = []
    for index, (first, second) in enumerate(zip(texts, pairs, strict=False)):
        vectors = [np.asarray(vector, dtype=np.float64) for vector in pipeline([first, second])]
        if vectors[0].ndim != 1:
            return []
        cosine = float(vectors[0] @ vectors[1]) / float(np.linalg.norm(vectors[0]) * np.linalg.norm(vectors[1]))
        gold = golds[index] if golds else {}
        found.append({"text": first, "text_pair": second, **gold, "label": f"similarity {cosine:.4f}"})
    return found


SENTENCES = UnlabeledTexts(make_rows=_rows, sample=_samples, takes_pairs=True)
"""Texts, pairs, triplets, or a collection of documents with queries."""
