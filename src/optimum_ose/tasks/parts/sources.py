"""Rows of texts with what is to be written of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import or_
from typing import Any, cast, final

from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from optimum_ose.data.request import DataRequest
from optimum_ose.data.sequence_pairs import SOURCE, TARGET, pair_splits
from optimum_ose.data.splits import Splits
from optimum_ose.data.tokenization import are_cut
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.preprocessing import WRITTEN, WRITTEN_MASK
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.written import require_chrf
from optimum_ose.wording import listed


@final
@dataclass(frozen=True, slots=True)
class SourceInputs:
    """A text, and what is to be written of it."""

    name: str = "sources and targets"
    processor: type = PreTrainedTokenizerBase
    processor_name: str = "a tokenizer"
    takes_agora: bool = False
    can_be_copied: bool = False
    labels_name_outputs: bool = False

    def read(self, request: DataRequest) -> Splits:
        """Rows with `text` and `target`."""
        require_chrf()
        return pair_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Token rows: inputs of the encoder, of the decoder the tokens before each (teacher forcing), and `labels`."""
        columns = set(dataset.column_names)
        if {"input_ids", WRITTEN, "labels"} <= columns:
            return dataset
        if not {SOURCE, TARGET} <= columns:
            raise InvalidDataError(
                f"Rows must have the columns {SOURCE} and {TARGET}: a student learns along the right text",
                f"they have {listed(dataset.column_names)}",
                "Rename the columns, and leave out texts without a target",
            )
        tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
        limit = {"truncation": True, "max_length": settings.max_length}
        sources = tokenizer(dataset[SOURCE][:], **limit)
        written = tokenizer(text_target=dataset[TARGET][:], **limit)
        targets = [_ended(ids, settings) for ids in written["input_ids"]]
        if settings.on_cut is not None:
            settings.on_cut(sum(map(or_, are_cut(sources), are_cut(written))))
        begin = begin_token(settings.model)
        made = {
            "input_ids": sources["input_ids"],
            "attention_mask": sources["attention_mask"],
            WRITTEN: [[begin, *ids[:-1]] for ids in targets],
            WRITTEN_MASK: [[1] * len(ids) for ids in targets],
            "labels": targets,
        }
        return Dataset.from_dict(made)

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """Of what was generated, by the right texts."""
        tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
        right = (
            dataset[TARGET][:]
            if TARGET in dataset.column_names
            else [tokenizer.decode(ids, skip_special_tokens=True) for ids in rows["labels"]]
        )
        return metric.judged(list(answers), right)

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the right texts."""
        return ServedAnswers(
            metric=metric, predictions=problem.served(pipeline(dataset[SOURCE][:]), ()), references=dataset[TARGET][:]
        )

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """The right texts."""
        return cast(Sequence[Any], dataset[TARGET][:])

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """Texts with what is written of them."""
        if not {SOURCE, TARGET} <= set(dataset.column_names):
            return []
        answers = pipeline(dataset[SOURCE][:])
        return [
            {"text": text, "gold": right, "label": answer["generated_text"]}
            for text, right, answer in zip(dataset[SOURCE], dataset[TARGET], answers, strict=True)
        ]


def begin_token(config: PretrainedConfig | None) -> int:
    """The token with which what is written begins.

    Raises:
        InvalidDataError: if the config does not name it.
    """
    token = getattr(config, "decoder_start_token_id", None)
    if not isinstance(token, int):
        raise InvalidDataError(
            "The config of the model must name decoder_start_token_id, with which a text begins",
            "it names none",
            "Set it",
        )
    return token


def _ended(ids: list[int], settings: RowSettings) -> list[int]:
    """Tokens with an end, so that a model learns to stop; a text that is cut keeps the tokenizer's own end."""
    end = getattr(settings.model, "eos_token_id", None)
    if not isinstance(end, int) or (ids and ids[-1] == end) or len(ids) >= settings.max_length:
        return ids
    return [*ids, end]


SOURCES = SourceInputs()
"""A text, and what is to be written of it."""
