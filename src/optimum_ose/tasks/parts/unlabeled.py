"""Rows of texts without labels that a student learns from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, final

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.data.text_splits import make_text_splits
from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabeledTexts:
    """Texts; what a model answers to them is judged by the `judge` of the task's problem."""

    make_rows: Callable[[Dataset, RowSettings], Dataset]
    """Makes token rows of rows without `input_ids`."""
    sample: Callable[[OnnxPipeline, Dataset], list[dict[str, Any]]]
    """See `Inputs.samples`."""
    takes_pairs: bool = False
    """Whether texts are compared, so that partners, scores of pairs and collections of documents are read."""
    name: str = "texts"
    processor: type = PreTrainedTokenizerBase
    processor_name: str = "a tokenizer"
    takes_agora: bool = False
    can_be_copied: bool = True
    labels_name_outputs: bool = False

    def read(self, request: DataRequest) -> Splits:
        """Rows with `text`, and maybe `text_pair`, `text_negative` and `label`, or a collection."""
        named = {"--benchmark-task": request.benchmark_task, "--problem-type": request.columns.problem_type}
        if given := [f"{option} {value}" for option, value in named.items() if value is not None]:
            raise InvalidConfigError(
                "Benchmarks and problem types are of tasks with labels", f"got {', '.join(given)}", "Leave them out"
            )
        return make_text_splits(
            request.source,
            request.columns,
            split_names=request.split_names,
            subset=request.subset,
            seed=request.seed,
            takes_pairs=self.takes_pairs,
        )

    def rows(self, dataset: Dataset, settings: RowSettings) -> Dataset:
        """Token rows without labels."""
        return dataset if "input_ids" in dataset.column_names else self.make_rows(dataset, settings)

    def samples(self, pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
        """What a folder answers to texts."""
        return self.sample(pipeline, dataset) if "text" in dataset.column_names else []

    def scores(self, *_: object, **__: object) -> NoReturn:
        """Refused: there are no labels."""
        raise _no_labels()

    def served_answers(self, *_: object, **__: object) -> NoReturn:
        """Refused: there are no labels."""
        raise _no_labels()

    def references(self, *_: object) -> Sequence[Any]:
        """Refused: there are no labels."""
        raise _no_labels()


def _no_labels() -> UnsupportedModelError:
    return UnsupportedModelError(
        "Scores by labels need rows with labels", "rows of this task have none", "Use the judge of its problem"
    )
