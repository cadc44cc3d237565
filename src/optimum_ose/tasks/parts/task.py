"""What a task is: the record that one file of `optimum_ose.tasks` holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import transformers
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.data.labels import head_names
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.tasks.parts.inputs import Inputs
from optimum_ose.tasks.parts.pooling import SentencePooling
from optimum_ose.tasks.parts.problem import Metric, Problem
from optimum_ose.tasks.parts.texts import TEXTS


def _pass(config: PretrainedConfig) -> None:
    """Every head is sound."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a model does, in one of Transformers' pipelines."""

    name: str
    """Transformers' name of the task; its file in `optimum_ose.tasks` is called so."""
    auto_class_name: str
    """The class of Transformers that builds its models."""
    heads: tuple[str, ...]
    """Endings of the classes whose files hold its head; an empty one: every file does."""
    inputs: Inputs = TEXTS
    """What rows of it hold."""
    problem_of: Callable[[PretrainedConfig], Problem] | None = None
    """What an answer of a model with this config is; None: only its search space can be derived."""
    has_labels: bool = False
    """Whether rows have labels of people, which judge a student."""
    has_problem_type: bool = False
    """Whether `problem_type` in the config of its models says what they answer, and must say it."""
    require_sound_head: Callable[[PretrainedConfig], None] = _pass
    """Refuses a trained head whose config contradicts itself."""
    outputs_are_tokens: bool = False
    """Whether a new head has an output for each token of the tokenizer, of which padding is the blank."""
    num_outputs: int | None = None
    """Of a new head, whatever the data; None: the model's default, or as many as the data need."""
    settle_head: Callable[[PretrainedConfig], None] | None = None
    """Writes into the config of a model, in place, what its head answers, where that does not depend on the data; or
    refuses it. None: the data or the config tell.
    """
    settle_model: Callable[[PreTrainedModel, Preprocessor, int], None] | None = None
    """Completes a teacher, in place, given what makes its inputs and the tokens at which texts are cut; or refuses it.
    """
    has_two_stacks: bool = False
    """Whether its models read with an encoder and write with a decoder."""
    encodes_texts: bool = False
    """Whether a model makes vectors of texts; a folder of sentence-transformers then says how."""
    default_pooling: SentencePooling | None = None
    """How a model that does not say so makes the one vector of a text; None: it has one for each token."""
    continues_texts: bool = False
    """Whether texts are continued, so that they have no length at which they are cut."""

    @property
    def auto_class(self) -> Any:
        """The class of Transformers that builds its models."""
        return getattr(transformers, self.auto_class_name)

    def holds_head(self, config: PretrainedConfig) -> bool:
        """Whether the files behind a config hold a head for the task."""
        return "" in self.heads or any(name.endswith(self.heads) for name in config.architectures or ())

    def problem(self, config: PretrainedConfig) -> Problem:
        """What an answer of a model with this config is.

        Raises:
            UnsupportedModelError: if no student can be distilled for the task.
        """
        if self.problem_of is None:
            raise self._refusal("students can be distilled for", "only search spaces can be derived for it")
        return self.problem_of(config)

    def metric(self, config: PretrainedConfig | None = None) -> Metric:
        """How answers are judged, with the names of the classes.

        Args:
            config: of the model; None: a head with a class for each row, or tags without names.

        Raises:
            UnsupportedModelError: if rows of the task have no labels.
        """
        problem = self.problem(config or PretrainedConfig())
        if problem.metric is None:
            raise self._refusal("whose rows have labels", "its rows have none")
        return problem.metric(head_names(config) if config is not None else ())

    def require_judge(self, config: PretrainedConfig) -> None:
        """Pass if a student can be judged: by labels, or without.

        Raises:
            UnsupportedModelError: if it cannot.
        """
        problem = self.problem(config)
        if problem.metric is None and problem.judge is None:
            raise self._refusal("whose students can be judged", "its answers have neither a metric nor a judge")

    def _refusal(self, wanted: str, actual: str) -> UnsupportedModelError:
        return UnsupportedModelError(f"This needs a task {wanted}", f"{self.name}: {actual}", "Choose another task")
