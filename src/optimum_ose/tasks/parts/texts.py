"""Rows of texts or pairs of texts, each with a label of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from optimum_ose.data.labels import align_labels, head_names, row_labels
from optimum_ose.data.request import DataRequest, text_splits
from optimum_ose.data.splits import Splits
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.grouped import GroupMetric
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.samples import labels_in_words, true_label
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.token_rows import row_references, token_rows

COLUMN = "text"


@final
@dataclass(frozen=True, slots=True)
class TextInputs:
    """A text, or a pair of texts."""

    name: str = "texts"
    processor: type = PreTrainedTokenizerBase
    processor_name: str = "a tokenizer"
    takes_agora: bool = True
    can_be_copied: bool = True
    labels_name_outputs: bool = True

    def read(self, request: DataRequest) -> Splits:
        """Rows with `text`, maybe `text_pair`, and `label`."""
        return text_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Token rows."""
        return token_rows(dataset, settings, column=COLUMN, pair=" (maybe text_pair)")

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the labels of the rows."""
        return metric.scores(answers, rows)

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the labels of the rows that have a token."""
        aligned, inputs = with_served_tokens(pipeline, align_labels(dataset, config), text_inputs(dataset))
        pipeline.check(inputs)
        answers = pipeline.answers(inputs, pipeline.rows(inputs))
        names, labels = head_names(config), row_labels(aligned)
        if isinstance(metric, GroupMetric):
            found = metric.served(answers, names)
            return ServedAnswers(metric=metric, predictions=found, references=labels, rows=aligned)
        return ServedAnswers(metric=metric, predictions=problem.served(answers, names), references=labels)

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """Classes, sets of classes or numbers."""
        return row_references(dataset, config)

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """Texts with their labels."""
        if not {COLUMN, "label"} <= set(dataset.column_names):
            return []
        inputs = text_inputs(dataset)
        sent = [text if pair is None else {"text": text, "text_pair": pair} for text, pair in inputs]
        answers = labels_in_words(pipeline, sent, dataset)
        return [
            {"text": text, **({} if pair is None else {"text_pair": pair}), "gold": true_label(dataset, row), **answer}
            for row, ((text, pair), answer) in enumerate(zip(inputs, answers, strict=True))
        ]


def text_inputs(dataset: Dataset) -> list[TextPair]:
    """What a client sends for each row."""
    pairs = dataset["text_pair"][:] if "text_pair" in dataset.column_names else [None] * len(dataset)
    return [(text, pair or None) for text, pair in zip(dataset[COLUMN], pairs, strict=True)]


def with_served_tokens(
    pipeline: OnnxPipeline, dataset: Dataset, inputs: list[TextPair]
) -> tuple[Dataset, list[TextPair]]:
    """The rows, and what is sent for them, that have a token when they are served: as in `data.tokenization.tokenize`,
    which leaves the others out.
    """
    kept = [index for index, encoding in enumerate(pipeline.encodings(inputs)) if len(encoding)]
    return dataset.select(kept), [inputs[index] for index in kept]


TEXTS = TextInputs()
"""A text, or a pair of texts."""
