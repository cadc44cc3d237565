"""Rows of a query and a document; those of one query are ranked together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
from datasets import Dataset, Value
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from optimum_ose.data.groups import GROUP, numbered
from optimum_ose.data.ranking_splits import ranking_splits
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.grouped import GroupMetric
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.texts import text_inputs, with_served_tokens
from optimum_ose.tasks.parts.token_rows import token_rows

_OTHER_NAMES = {
    "text": ("query", "question"),
    "text_pair": ("document", "passage"),
    "label": ("relevance", "score"),
}


@final
@dataclass(frozen=True, slots=True)
class RankingInputs:
    """A query and a document."""

    name: str = "queries with documents"
    processor: type = PreTrainedTokenizerBase
    processor_name: str = "a tokenizer"
    takes_agora: bool = False
    can_be_copied: bool = True
    labels_name_outputs: bool = False

    def read(self, request: DataRequest) -> Splits:
        """Rows with `text`, `text_pair`, `label` and `group`."""
        return ranking_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Token rows of pairs, each with its relevance and the number of its query."""
        if "input_ids" in dataset.column_names:
            return dataset
        return token_rows(ranked_rows(dataset), settings, column="text", pair=" (the query), text_pair")

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the relevance of the documents of each query."""
        return metric.scores(answers, rows)

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the relevance of the documents of each query."""
        dataset = ranked_rows(dataset)
        kept, inputs = with_served_tokens(pipeline, dataset, text_inputs(dataset))
        pipeline.check(inputs)
        judge = cast(GroupMetric, metric)
        answers = pipeline.answers(inputs, pipeline.rows(inputs))
        predictions = judge.served(answers, ())
        return ServedAnswers(metric=metric, predictions=predictions, references=kept["label"][:], rows=kept)

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """Relevance and query of each row."""
        dataset = dataset if "labels" in dataset.column_names else ranked_rows(dataset)
        labels = dataset["labels" if "labels" in dataset.column_names else "label"][:]
        return cast(Sequence[Any], np.stack([labels, dataset[GROUP][:]], axis=1))

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """Queries and documents with their scores."""
        dataset = ranked_rows(dataset)
        if "label" not in dataset.column_names:
            return []
        inputs = text_inputs(dataset)
        answers = pipeline([{"text": text, "text_pair": pair} for text, pair in inputs])
        return [
            {"text": text, "text_pair": pair, "gold": f"{label:.3g}", "label": f"{answer['score']:.4g}"}
            for (text, pair), label, answer in zip(inputs, dataset["label"], answers, strict=True)
        ]


def ranked_rows(dataset: Dataset) -> Dataset:
    """Raw rows under the names `text`, `text_pair` and, where they have one, `label` as a number; `group` is the number
    of the query, where rows do not tell another.

    Raises:
        InvalidDataError: if there is no query or no document, or relevance is no number.
    """
    present = dataset.column_names
    for role, names in _OTHER_NAMES.items():
        other = next((name for name in names if name in present), None)
        if role not in present and other is not None:
            dataset = dataset.rename_column(other, role)
    missing = [role for role in ("text", "text_pair") if role not in dataset.column_names]
    if missing:
        raise InvalidDataError(
            "Rows to rank must have the columns text (the query) and text_pair (the document)",
            f"they have {', '.join(present)}",
            "Rename their columns",
        )
    kind = str(getattr(dataset.features.get("label"), "dtype", ""))  # of a list there is none
    if "label" in dataset.column_names and kind not in ("float32", "float64"):
        if not kind.startswith(("int", "uint", "bool", "float")):
            raise InvalidDataError(
                "The relevance of a document must be a number",
                f"the column label holds {dataset.features['label']}",
                "Give numbers, greater ones for better documents",
            )
        dataset = dataset.cast_column("label", Value("float32"))
    if GROUP not in dataset.column_names:
        dataset = dataset.add_column(GROUP, numbered(dataset["text"][:]))
    return dataset


RANKINGS = RankingInputs()
"""A query and a document."""
