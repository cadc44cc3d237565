"""How models are judged where rows have no labels that students learn from: by texts, and by what is known of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, final

import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from optimum_ose.serving.pipeline import OnnxPipeline

Answers = Sequence[NDArray[Any]]
"""What is kept of a model's output, one array for each text that was asked."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What a model is asked."""

    texts: Sequence[str]
    """Each one is asked as a client would send it."""
    rows: Dataset
    """Their token rows, in the same order; maybe with `labels` for each token."""
    known: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the judge knows of them."""


class Judge(Protocol):
    """Asks a model, and its exported folder, the same texts, and scores what they answer."""

    def name(self, dataset: Dataset) -> str:
        """The score that decides on such rows; higher is better."""

    def questions(self, dataset: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Questions:
        """What is asked of rows.

        Raises:
            InvalidDataError: if nothing can be asked.
        """

    def answers(self, output: Any, batch: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        """What is kept of a model's output, one tensor for each row of the batch."""

    def served(self, pipeline: OnnxPipeline, questions: Questions) -> Answers:
        """The same of an `OnnxPipeline`."""

    def scores(self, answers: Answers, questions: Questions, teacher: Callable[[], Answers]) -> dict[str, float]:
        """All scores of answers; `teacher` gives what the teacher answers."""
