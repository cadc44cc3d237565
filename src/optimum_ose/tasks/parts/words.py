"""Rows of words, each with a tag of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from optimum_ose.data.labels import align_labels, class_names, head_names
from optimum_ose.data.request import DataRequest, text_splits
from optimum_ose.data.splits import Splits
from optimum_ose.data.tokenization import with_tokens
from optimum_ose.data.words import first_tokens_of_rows, text_of
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.samples import entities_in_words
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.texts import with_served_tokens
from optimum_ose.tasks.parts.token_labels import NO_TAG, OUTSIDE, word_tags
from optimum_ose.tasks.parts.token_rows import token_rows

COLUMN = "tokens"


@final
@dataclass(frozen=True, slots=True)
class WordInputs:
    """A list of words."""

    name: str = "words"
    processor: type = PreTrainedTokenizerBase
    processor_name: str = "a tokenizer"
    takes_agora: bool = True
    can_be_copied: bool = True
    labels_name_outputs: bool = True

    def read(self, request: DataRequest) -> Splits:
        """Rows with `tokens` and `label`, a tag for each word."""
        if request.benchmark_task is not None:
            raise InvalidConfigError(
                "The benchmarks' tasks are of texts, or of questions with choices",
                f"got --benchmark-task {request.benchmark_task} for words with tags",
                "Leave it out",
            )
        return text_splits(request, are_words=True)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Token rows, a label for the first token of each word."""
        return token_rows(dataset, settings, column=COLUMN)

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the tags of words, if the words are there; those without a token, such as those beyond the length limit,
        count as O.
        """
        if COLUMN not in dataset.column_names or settings.config is None:
            return metric.scores(answers, rows)
        tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
        dataset = with_tokens(dataset, tokenizer, max_length=settings.max_length)
        found = word_tags(answers, rows, dataset, tokenizer, max_length=settings.max_length)
        return metric.judged(found, align_labels(dataset, settings.config)["label"][:])

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the tags of the words of rows that have a token."""
        aligned, inputs = with_served_tokens(pipeline, align_labels(dataset, config), word_inputs(dataset))
        found = _served_tags(pipeline, aligned[COLUMN][:], inputs, head_names(config))
        return ServedAnswers(metric=metric, predictions=found, references=aligned["label"][:])

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """The tags of each row."""
        if "label" not in dataset.column_names:
            return cast(Sequence[Any], dataset["labels"][:])
        return cast(Sequence[Any], align_labels(dataset.select_columns(["label", COLUMN]), config)["label"][:])

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """Texts with their entities."""
        if not {COLUMN, "label"} <= set(dataset.column_names):
            return []
        names, texts = class_names(dataset), [text for text, _ in word_inputs(dataset)]
        found = pipeline(texts, aggregation_strategy="simple")
        return [
            {
                "text": text,
                "gold": entities_in_words(_marked(row, names)),
                "label": entities_in_words((item["entity_group"], item["word"]) for item in items),
            }
            for text, row, items in zip(texts, dataset, found, strict=True)
        ]


def word_inputs(dataset: Dataset) -> list[TextPair]:
    """What a client sends for each row: the words as one text."""
    return [(text_of(words), None) for words in dataset[COLUMN]]


def _marked(row: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of the tags of words inside of entities, each with its word."""
    tags = [OUTSIDE if tag is None or tag < 0 else names[tag] for tag in row["label"]]
    return [(tag, word) for tag, word in zip(tags, row[COLUMN], strict=True) if tag != OUTSIDE]


def _served_tags(
    pipeline: OnnxPipeline, rows: Sequence[Sequence[str]], inputs: list[TextPair], names: Sequence[str]
) -> list[list[int]]:
    """The tag of each word: that of its first token in what the pipeline answers to the words as one text."""
    answers = pipeline.answers(inputs, pipeline.rows(inputs), aggregation_strategy="none")
    first = first_tokens_of_rows(rows, pipeline.encodings(inputs))
    index = {name: number for number, name in enumerate(names)}
    found = []
    for entities, tokens in zip(answers, first, strict=True):
        labels = {entity["index"]: index[entity["entity"]] for entity in entities}
        outside = index.get(OUTSIDE, NO_TAG)
        found.append([NO_TAG if token is None else labels.get(token, outside) for token in tokens])
    return found


WORDS = WordInputs()
"""A list of words."""
