"""Rows of a question with choices, of which one is right."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast, final

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from optimum_ose.data.choice_rows import ANSWER, CHOICES, CONTEXT, QUESTION, choice_pairs, usable_choices
from optimum_ose.data.choices import choice_splits
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.served_answers import ServedAnswers


@final
@dataclass(frozen=True, slots=True)
class ChoiceInputs:
    """A question with choices."""

    name: str = "questions with choices"
    processor: type = PreTrainedTokenizerBase
    processor_name: str = "a tokenizer"
    takes_agora: bool = False
    can_be_copied: bool = False
    labels_name_outputs: bool = False

    def read(self, request: DataRequest) -> Splits:
        """Rows with `context`, `question`, `choices` and `answer`."""
        return choice_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Rows of tokens, a list for each choice, with the place of the right one in `labels`."""
        columns = set(dataset.column_names)
        if {"input_ids", "labels"} <= columns or ("input_ids" in columns and not settings.needs_labels):
            return dataset
        dataset = usable_choices(dataset)
        if settings.needs_labels and ANSWER not in dataset.column_names:
            raise InvalidDataError(
                f"Rows with choices must have the column {ANSWER}",
                f"they have {', '.join(dataset.column_names)}",
                "Add the place of the right choice, from 0",
            )
        return _tokenized(dataset, settings)

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the answers to the questions."""
        return metric.scores(answers, rows)

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the answers to the questions."""
        dataset = usable_choices(dataset)
        return ServedAnswers(
            metric=metric, predictions=problem.served(pipeline(_asked(dataset)), ()), references=dataset[ANSWER][:]
        )

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """The places of the right choices."""
        if "labels" in dataset.column_names:
            return cast(Sequence[Any], dataset["labels"][:])
        return cast(Sequence[Any], usable_choices(dataset)[ANSWER][:])

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """Questions with their answers."""
        dataset = usable_choices(dataset)
        if ANSWER not in dataset.column_names:
            return []
        return [
            {
                "text": " ".join(filter(None, (row[CONTEXT], row[QUESTION]))),
                "text_pair": " | ".join(row[CHOICES]),
                "gold": row[CHOICES][row[ANSWER]],
                "label": answer["choice"],
                "score": answer["score"],
            }
            for row, answer in zip(dataset, pipeline(_asked(dataset)), strict=True)
        ]


def _asked(dataset: Dataset) -> list[dict[str, Any]]:
    """What a client sends for each row."""
    names = [name for name in (CONTEXT, QUESTION, CHOICES) if name in dataset.column_names]
    return [{name: row[name] for name in names if row[name]} for row in dataset.select_columns(names)]


def _tokenized(dataset: Dataset, settings: RowSettings) -> Dataset:
    tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
    pairs = [choice_pairs(row) for row in dataset]
    flat = [pair for row in pairs for pair in row]
    encoded = tokenizer(
        [first for first, _ in flat], [second for _, second in flat], truncation=True, max_length=settings.max_length
    )
    ends = np.cumsum([0, *map(len, pairs)]).tolist()
    spans = [slice(start, end) for start, end in pairwise(ends)]
    if settings.on_cut is not None:
        is_cut = [bool(encoding.overflowing) for encoding in encoded.encodings or ()]
        settings.on_cut(sum(any(is_cut[span]) for span in spans))
    columns: dict[str, list[Any]] = {name: [values[span] for span in spans] for name, values in encoded.items()}
    if ANSWER in dataset.column_names:
        columns["labels"] = dataset[ANSWER][:]
    return Dataset.from_dict(columns)


CHOICE_ROWS = ChoiceInputs()
"""A question with choices."""
