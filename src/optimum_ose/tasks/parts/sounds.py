"""Rows of sounds, each with a label of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig, SequenceFeatureExtractor

from optimum_ose.data.labels import head_names
from optimum_ose.data.request import DataRequest
from optimum_ose.data.sounds import sound_inputs, sound_rows, sound_splits
from optimum_ose.data.splits import Splits
from optimum_ose.preprocessing import SOUND
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.samples import labels_in_words, labels_of_files, true_label
from optimum_ose.tasks.parts.served_answers import ServedAnswers
from optimum_ose.tasks.parts.token_rows import row_references


@final
@dataclass(frozen=True, slots=True)
class SoundInputs:
    """A sound."""

    name: str = "sounds"
    processor: type = SequenceFeatureExtractor
    processor_name: str = "a feature extractor"
    takes_agora: bool = False
    can_be_copied: bool = False
    labels_name_outputs: bool = True

    def read(self, request: DataRequest) -> Splits:
        """Rows with `audio` and `label`."""
        return sound_splits(request)

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Rows of waveforms, decoded and resampled once; features are made of them batch by batch."""
        extractor = cast(SequenceFeatureExtractor, settings.preprocessor)
        rate = int(extractor.sampling_rate)
        return sound_rows(
            dataset, settings.config, rate=rate, needs_labels=settings.needs_labels, on_cut=settings.on_cut
        )

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """By the labels of the rows."""
        return metric.scores(answers, rows)

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """By the labels of the rows."""
        answers = labels_of_files(pipeline, dataset, sound_inputs)
        return ServedAnswers(
            metric=metric,
            predictions=problem.served(answers, head_names(config)),
            references=self.references(dataset, config),
        )

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """Classes, sets of classes or numbers."""
        return row_references(dataset, config)

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """The rows' numbers with their labels."""
        if not {SOUND, "label"} <= set(dataset.column_names):
            return []
        answers = labels_in_words(pipeline, sound_inputs(dataset), dataset)
        return [
            {"text": f"sound {row}", "gold": true_label(dataset, row), **answer} for row, answer in enumerate(answers)
        ]


SOUNDS = SoundInputs()
"""A sound."""
