"""Rows of sounds with what is said in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
from datasets import Dataset, Features, Value
from datasets import Sequence as ListFeature
from numpy.typing import NDArray
from transformers import PretrainedConfig, ProcessorMixin

from optimum_ose.data.request import DataRequest
from optimum_ose.data.sounds import decoded, sound_inputs
from optimum_ose.data.splits import Splits
from optimum_ose.data.transcripts import TEXT, speech_splits
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.preprocessing import SOUND
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.transcription import collapsed, num_frames


@final
@dataclass(frozen=True, slots=True)
class SpeechInputs:
    """A sound, and a text."""

    name: str = "speech"
    processor: type = ProcessorMixin
    processor_name: str = "a processor of sounds and texts"
    takes_agora: bool = False
    can_be_copied: bool = False
    labels_name_outputs: bool = False

    def read(self, request: DataRequest) -> Splits:
        """Rows with `audio` and `text`."""
        return speech_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Rows of waveforms, decoded and resampled once, and the tokens of their texts as `labels`."""
        columns = set(dataset.column_names)
        if {SOUND, "labels"} <= columns:
            return dataset
        wanted = {SOUND, TEXT} if settings.needs_labels else {SOUND}
        if not wanted <= columns:
            raise InvalidDataError(
                f"A data set of speech must have the columns {' and '.join(sorted(wanted))}",
                f"it has {', '.join(dataset.column_names)}",
                "Rename its columns",
            )
        processor: Any = settings.preprocessor
        rate = int(processor.feature_extractor.sampling_rate)
        features: dict[str, Any] = {SOUND: ListFeature(Value("float32"))}
        made: dict[str, list[Any]] = {SOUND: decoded(dataset, rate, settings.on_cut)}
        if TEXT in columns:
            features["labels"] = ListFeature(Value("int64"))
            made["labels"] = processor.tokenizer(written_like(dataset[TEXT][:], processor)).input_ids
        return Dataset.from_dict(made, features=Features(features))

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the texts, where they are there; else by their tokens."""
        if TEXT not in dataset.column_names or settings.config is None:
            return metric.scores(answers, rows)
        processor: Any = settings.preprocessor
        counts = [num_frames(settings.config, len(sound)) for sound in rows[SOUND]]
        blank, tokenizer = int(settings.config.pad_token_id or 0), processor.tokenizer
        tokens = [collapsed(part.argmax(-1), blank) for part in np.split(answers, np.cumsum(counts)[:-1])]
        said = [" ".join(tokenizer.decode(row, group_tokens=False).split()) for row in tokens]
        return metric.judged(said, written_like(dataset[TEXT][:], processor))

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the texts, in the case of the vocabulary."""
        said = problem.served(pipeline(sound_inputs(dataset)), ())
        letters = pipeline.direct_task.letters if pipeline.direct_task is not None else ""
        return ServedAnswers(
            metric=metric, predictions=said, references=[_in_case_of(text, letters) for text in dataset[TEXT]]
        )

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """What is said."""
        return cast(Sequence[Any], dataset[TEXT][:])

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """The rows' numbers with what is said."""
        if not {SOUND, TEXT} <= set(dataset.column_names):
            return []
        answers = pipeline(sound_inputs(dataset))
        return [
            {"text": f"sound {row}", "gold": right, "label": answer["text"]}
            for row, (right, answer) in enumerate(zip(dataset[TEXT], answers, strict=True))
        ]


def written_like(texts: Sequence[str], processor: Any) -> list[str]:
    """Texts in the case of a vocabulary that has one case only, single spaces between words."""
    letters = "".join(token for token in processor.tokenizer.get_vocab() if len(token) == 1)
    return [_in_case_of(text, letters) for text in texts]


def _in_case_of(text: str, letters: str) -> str:
    text, letters = " ".join(text.split()), "".join(filter(str.isalpha, letters))
    if letters and letters == letters.upper() != letters.lower():
        return text.upper()
    return text.lower() if letters and letters == letters.lower() != letters.upper() else text


SPEECH = SpeechInputs()
"""A sound, and what is said in it."""
