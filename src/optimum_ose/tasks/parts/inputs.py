"""What rows of a task hold before a model sees them: the Protocol `Inputs`, with one file for each kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

from datasets import Dataset
from numpy.typing import NDArray
from transformers import PretrainedConfig

from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.served_answers import ServedAnswers


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RowSettings:
    """How rows become model inputs."""

    preprocessor: Preprocessor
    """Tokenizer, image processor or feature extractor: of the teacher, and of its student."""
    max_length: int
    """Tokens per row; longer ones are cut."""
    config: PretrainedConfig | None = None
    """Of a teacher whose head is trained; classes get its numbers. None: they keep their own."""
    model: PretrainedConfig | None = None
    """Of the model that reads the rows, whether its head is trained or not."""
    is_labeled: bool = True
    """Whether rows of the task have labels; else a column of labels is left out."""
    needs_labels: bool = True
    """Whether rows of a task with labels must have them."""
    on_cut: Callable[[int], None] | None = None
    """Hears how many rows are longer than `max_length`, and are cut."""


class Inputs(Protocol):
    """What rows hold, and what makes model inputs of it."""

    @property
    def name(self) -> str:
        """In messages."""

    @property
    def processor(self) -> type:
        """The class of Transformers whose objects make model inputs of them."""

    @property
    def processor_name(self) -> str:
        """The same in words, with an article."""

    @property
    def takes_agora(self) -> bool:
        """Whether Agora can change a row and keep its label."""

    @property
    def can_be_copied(self) -> bool:
        """Whether words of a token row can give way to others, so that the teacher answers the copy as it is."""

    @property
    def labels_name_outputs(self) -> bool:
        """Whether the values of a column `label` name the outputs of a new head."""

    def read(self, request: DataRequest) -> Splits:
        """The checked splits of a data set.

        Raises:
            InvalidDataError: if it cannot be read, or holds something else.
        """

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Rows that a collator makes batches of; such rows are returned as they are.

        Raises:
            InvalidDataError: if the columns are others, or the classes are not the teacher's.
        """

    def scores(
        self, answers: NDArray[Any], rows: Dataset, dataset: Dataset, *, metric: Metric, settings: RowSettings
    ) -> dict[str, float]:
        """All scores of a model's answers.

        Args:
            answers: to rows, as `predict_logits` gives them.
            rows: made of the data set.
            dataset: raw rows with labels, or such as `rows` gives.
            metric: that judges.
            settings: with which the rows were made; the config is the teacher's.
        """

    def served_answers(
        self, pipeline: OnnxPipeline, dataset: Dataset, *, problem: Problem, metric: Metric, config: PretrainedConfig
    ) -> ServedAnswers:
        """What a folder serves, decided, and what is right.

        Args:
            pipeline: of the folder.
            dataset: raw rows with labels.
            problem: what an answer is.
            metric: that judges.
            config: what the folder's config says of its head.
        """

    def references(self, dataset: Dataset, config: PretrainedConfig) -> Sequence[Any]:
        """What is right for each raw row, as the metric's `trivial_score` takes it."""

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """Raw rows and what a folder answers to them, as people read it.

        Returns:
            A JSON-able dict per row: `text` (what was asked, in words), `text_pair` if there is one, `gold`, `label`
            (the answer) and, of a class, its `score`.
        """
