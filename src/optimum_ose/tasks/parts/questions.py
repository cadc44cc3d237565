"""Rows of a question, a context and the answers that stand in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from transformers import PretrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from optimum_ose.data.question_splits import question_splits, usable_questions
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.data.squad import ANSWERS, CONTEXT, POSITIONS, QUESTION
from optimum_ose.exceptions import InvalidDataError, UnsupportedModelError
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.tasks.question_answering import SpanFinder
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.served_answers import ServedAnswers

_NO_SPAN = (0, 0)
"""First and last token where the answer does not stand in a window: the token before every text."""


@final
@dataclass(frozen=True, slots=True)
class QuestionInputs:
    """A question and a context, read in windows."""

    name: str = "questions"
    processor: type = PreTrainedTokenizerBase
    processor_name: str = "a tokenizer"
    takes_agora: bool = False
    can_be_copied: bool = False
    labels_name_outputs: bool = False

    def read(self, request: DataRequest) -> Splits:
        """Rows with `question`, `context` and `answers`."""
        return question_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Token rows, one for each window of a context, as served contexts are read, with `start_positions` and
        `end_positions` where rows have answers.
        """
        columns = set(dataset.column_names)
        if {"input_ids", *POSITIONS} <= columns or ("input_ids" in columns and not settings.needs_labels):
            return dataset
        wanted = {QUESTION, CONTEXT} | ({ANSWERS} if settings.needs_labels else set())
        if not wanted <= columns:
            raise InvalidDataError(
                f"A data set of questions must have the columns {', '.join(sorted(wanted))}",
                f"it has {', '.join(dataset.column_names)}",
                "Rename its columns",
            )
        dataset = usable_questions(dataset)
        tokenizer = _right_padded(settings)
        names = [name for name in tokenizer.model_input_names if name in _FIELDS]
        made: dict[str, list[Any]] = {name: [] for name in (*names, *(POSITIONS if ANSWERS in columns else ()))}
        for row, windows in zip(dataset, _windows(dataset, settings), strict=True):
            for window in windows:
                for name in names:
                    made[name].append(getattr(window, _FIELDS[name]))
                if ANSWERS in columns:
                    for name, position in zip(POSITIONS, _span(window, row[ANSWERS]), strict=True):
                        made[name].append(position)
        return Dataset.from_dict(made)

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the texts of the spans, as they are served; by tokens where the texts are not there."""
        if CONTEXT not in dataset.column_names:
            return metric.scores(answers, rows)
        dataset = usable_questions(dataset)
        parts = iter(np.split(answers, np.cumsum([len(ids) for ids in rows["input_ids"]])[:-1]))
        finder = _finder(settings)
        found = [
            finder.answers(context, windows, [next(parts) for _ in windows], 1)
            for context, windows in zip(dataset[CONTEXT], _windows(dataset, settings), strict=True)
        ]
        texts = [str(items[0]["answer"]) if items else "" for items in found]
        return metric.judged(texts, _right(dataset))

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the texts of the spans."""
        dataset = usable_questions(dataset)
        return ServedAnswers(
            metric=metric, predictions=problem.served(_served(pipeline, dataset), ()), references=_right(dataset)
        )

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """All right answers of each question."""
        return _right(usable_questions(dataset))

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """Questions and contexts with their answers."""
        if not {QUESTION, CONTEXT, ANSWERS} <= set(dataset.column_names):
            return []
        return [
            {
                "text": row[QUESTION],
                "text_pair": row[CONTEXT],
                "gold": row[ANSWERS]["text"][0],
                "label": str(answer["answer"]),
                "score": answer["score"],
            }
            for row, answer in zip(dataset, _served(pipeline, dataset), strict=True)
        ]


_FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Model inputs, and where an encoding has them."""


def _right(dataset: Dataset) -> list[list[str]]:
    if ANSWERS not in dataset.column_names:
        raise InvalidDataError(
            f"Rows that judge must have the column {ANSWERS}",
            f"they have {', '.join(dataset.column_names)}",
            "Pass the raw rows",
        )
    return [list(answers["text"]) for answers in dataset[ANSWERS]]


def _served(pipeline: OnnxPipeline, dataset: Dataset) -> list[Any]:
    asked = [{QUESTION: row[QUESTION], CONTEXT: row[CONTEXT]} for row in dataset]
    found = pipeline(asked)
    return found if isinstance(found, list) else [found]


def _right_padded(settings: RowSettings) -> PreTrainedTokenizerBase:
    """The tokenizer.

    Raises:
        UnsupportedModelError: if it has no fast form, or pads on the left, where positions would move.
    """
    tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or tokenizer.padding_side != "right":
        raise UnsupportedModelError(
            "Question answering needs a fast tokenizer that pads on the right",
            f"{type(tokenizer).__name__} pads on the {tokenizer.padding_side}",
            "Set padding_side in tokenizer_config.json to right, or choose another teacher",
        )
    return tokenizer


def _finder(settings: RowSettings) -> SpanFinder:
    tokenizer = cast(PreTrainedTokenizerFast, settings.preprocessor)
    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    return SpanFinder(plain, max_length=settings.max_length, first_id=tokenizer.cls_token_id)


def _windows(dataset: Dataset, settings: RowSettings) -> list[list[Encoding]]:
    """The windows of each row, as serving makes them."""
    finder = _finder(settings)
    return [
        finder.windows(question, context) for question, context in zip(dataset[QUESTION], dataset[CONTEXT], strict=True)
    ]


def _span(window: Encoding, answers: Any) -> tuple[int, int]:
    """First and last token of the first answer that stands in a window as a whole."""
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        inside = [
            token
            for token, (place, (first, last)) in enumerate(zip(window.sequence_ids, window.offsets, strict=True))
            if place == 1 and first < start + len(text) and last > start
        ]
        if inside and window.offsets[inside[0]][0] <= start and window.offsets[inside[-1]][1] >= start + len(text):
            return inside[0], inside[-1]
    return _NO_SPAN


QUESTIONS = QuestionInputs()
"""A question and a context."""
