"""A teacher with its tokenizer or image processor and its task: how it is loaded, and what its rows are."""

import os
from collections.abc import Callable
from functools import partial
from typing import Self

from datasets import Dataset
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration import SearchConfig
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.data.benchmark_tasks import named_benchmark_task
from optimum_ose.data.given import plain_dataset, plain_or_none
from optimum_ose.display import default_listener
from optimum_ose.distillation.teaching import with_teacher_logits
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.guards import require_config, require_whole_number
from optimum_ose.modeling.length import require_countable_length, usable_length
from optimum_ose.modeling.loading import load_config, require_float32, require_source
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.optimizer.completing import complete, load_for, require_trial
from optimum_ose.optimizer.guards import (
    LEAST_TOKENS,
    require_listener,
    require_parts,
)
from optimum_ose.optimizer.heads import prepare_head
from optimum_ose.optimizer.token_rows import rows_of
from optimum_ose.preprocessing import Preprocessor, text_tokenizer
from optimum_ose.progress import Listener, working
from optimum_ose.serving.sounds import MAX_SECONDS
from optimum_ose.tasks import DEFAULT_TASK, distillable_task
from optimum_ose.tasks.parts.by_problem_type import name_problem_type
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.judge import Answers, Questions
from optimum_ose.tasks.parts.problem import Problem

_DEFAULT_LENGTH = 128
"""Tokens per text where nobody names a number."""
_NUM_TRIED = 32
"""Rows without labels that are tokenized before work begins."""


class TeacherRows:
    """A teacher, its tokenizer and the task of both, and how data become rows that it has answered.

    Args:
        teacher: the maximum point T, a Transformers model.
        tokenizer: of teacher and student; for images their image processor.
        task: what both do.
        has_head: whether the teacher's head for the task is trained; without it, `finetune_teacher` comes first.
        max_length: tokens per text; longer ones are cut. A number above what the model takes counts as that, and is
            said.
        listener: hears of progress; None: bars on a terminal, lines elsewhere. `progress.SilentListener()` is silent.
        benchmark_task: of GLUE, SuperGLUE or RACE, such as "glue/cola", whose metric judges; None: the task's own.
    """

    def __init__(
        self,
        teacher: PreTrainedModel,
        tokenizer: Preprocessor,
        *,
        task: str,
        has_head: bool = True,
        max_length: int = _DEFAULT_LENGTH,
        listener: Listener | None = None,
        benchmark_task: str | None = None,
    ) -> None:
        self._definition = distillable_task(task)
        if benchmark_task is not None:
            named_benchmark_task(benchmark_task)
        require_listener(listener)
        require_parts(teacher, tokenizer, max_length)
        if not isinstance(tokenizer, self._definition.inputs.processor):
            raise InvalidConfigError(
                f"The task {task} needs {self._definition.inputs.processor_name}",
                f"got a {type(tokenizer).__name__}",
                "Pass the teacher's own, or load both with from_pretrained",
            )
        require_float32(teacher)
        self.teacher = teacher
        self.tokenizer = tokenizer
        self.task = self._definition.name
        self.has_head = has_head
        self._limit = usable_length(teacher.config, text_tokenizer(tokenizer))
        self.max_length = max_length if self._limit is None else min(max_length, self._limit)
        self.benchmark_task = benchmark_task
        if has_head and self._definition.has_problem_type:
            name_problem_type(teacher.config)
        complete(teacher, tokenizer, self._definition, max_length=self.max_length)
        self.listener: Listener = listener or default_listener()
        self._answered: dict[str, Dataset] = {}
        self._made: dict[str, Dataset] = {}
        self._questions: dict[str, tuple[Questions, Callable[[], Answers]]] = {}
        self._told: set[str] = set()
        if self.max_length < max_length != _DEFAULT_LENGTH:
            self.listener.say(
                f"max_length is {self.max_length:,}, the tokens that the model takes, instead of {max_length:,}"
            )

    @classmethod
    def from_pretrained(
        cls,
        model_name_or_path: str | os.PathLike[str],
        *,
        task: str = DEFAULT_TASK,
        num_labels: int | None = None,
        max_length: int = _DEFAULT_LENGTH,
        trust_remote_code: bool = False,
        revision: str | None = None,
        listener: Listener | None = None,
        benchmark_task: str | None = None,
    ) -> Self:
        """Load a teacher and its tokenizer, or for a task of images its image processor.

        Args:
            model_name_or_path: folder or Hub id.
            task: of the student.
            num_labels: classes of a teacher that has no head yet, or those of its head; None: its head's, or decided by
                `finetune_teacher`'s data.
            max_length: tokens per text; longer ones are cut.
            trust_remote_code: run code that comes with the model; off unless asked for.
            revision: branch, tag or commit on the Hub.
            listener: hears of progress.
            benchmark_task: whose metric judges; see `TeacherTask`.

        Raises:
            InvalidConfigError: if there is no such model, or its trained head has another number of classes.
            UnsupportedModelError: if the task is not handled, or the model fails to answer a text.
        """
        definition = distillable_task(task)
        require_listener(listener)
        require_whole_number(max_length, "max_length", least=LEAST_TOKENS)
        if num_labels is not None:
            require_whole_number(num_labels, "num_labels", least=1)
        source = require_source(model_name_or_path)
        config = load_config(source, trust_remote_code=trust_remote_code, revision=revision)
        if num_labels is None and not definition.holds_head(config):
            num_labels = definition.num_outputs
        if num_labels is not None:
            _set_num_labels(config, num_labels, has_head=definition.holds_head(config))
        found = load_for(definition, source, config, trust_remote_code=trust_remote_code, revision=revision)
        require_trial(found.model, found.processor)
        return cls(
            found.model,
            found.processor,
            task=task,
            has_head=found.has_head,
            max_length=max_length if found.max_length is None else min(max_length, found.max_length),
            listener=listener,
            benchmark_task=benchmark_task,
        )

    def search_space(self, config: SearchConfig | None = None) -> SearchSpace:
        """The search space of the teacher's config, with the task's head counted."""
        require_config(config, SearchConfig)
        settings, limit = config or SearchConfig(), usable_length(self.teacher.config, self.text_tokenizer)
        require_countable_length(settings.sequence_length, limit, default=SearchConfig().sequence_length)
        return derive_search_space(self.teacher.config, task=self.task, **settings.axes)

    @property
    def text_tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer; None if the task's inputs are images."""
        return text_tokenizer(self.tokenizer)

    @property
    def saved_length(self) -> int | None:
        """The length limit that saved folders carry; None for images, and for texts that are continued."""
        return None if self.text_tokenizer is None or self._definition.continues_texts else self.max_length

    @property
    def problem(self) -> Problem:
        """What an answer of the teacher is."""
        return self._definition.problem(self.teacher.config)

    def prepare(self, dataset: Dataset) -> None:
        """Let the trained head's config, in place, say what the labels of training rows say: the names of its classes
        where it has none, which its predictions on the rows tell, and its `problem_type`. What was found is said.

        Raises:
            InvalidDataError: if the head answers something else, or its classes and those of the rows do not match.
        """
        names_outputs = self._definition.has_labels and self._definition.inputs.labels_name_outputs
        if self.has_head and "label" in dataset.column_names and names_outputs:
            found = prepare_head(self.teacher, self.tokenizer, dataset, task=self.task, max_length=self.max_length)
            for note in found:
                if note not in self._told:
                    self._told.add(note)
                    self.listener.say(note)

    def rows(self, dataset: Dataset, *, needs_labels: bool = True, name: str = "") -> Dataset:
        """Rows of a data set with the columns `text`, maybe `text_pair`, or `tokens`, or `image`, and `label`: token
        rows, or images that are processed when their batch is made. Rows made before are returned as they are. Tasks
        without labels of people, and `needs_labels=False`, do without the last.

        Args:
            dataset: the rows.
            needs_labels: whether a task with labels insists on them.
            name: of the split, for the note that rows are cut; each data set is told of once.

        Raises:
            InvalidDataError: if the columns are others, or the classes are not the teacher's.
        """
        key = str(getattr(dataset, "_fingerprint", ""))
        if key in self._made:
            return self._made[key]
        dataset = plain_dataset(dataset, "dataset")
        if needs_labels:
            self.prepare(dataset)
        on_cut = partial(self._tell_cut, dataset._fingerprint, name, len(dataset))
        made = rows_of(self._definition, dataset, self._row_settings(needs_labels=needs_labels, on_cut=on_cut))
        if not self._definition.has_labels:  # plain text may be long: its last three sets are kept
            self._made = {**dict(list(self._made.items())[-2:]), key: made}
        return made

    def _row_settings(self, *, needs_labels: bool = True, on_cut: Callable[[int], None] | None = None) -> RowSettings:
        return RowSettings(
            preprocessor=self.tokenizer,
            max_length=self.max_length,
            config=self.teacher.config if self.has_head else None,
            model=self.teacher.config,
            is_labeled=self._definition.has_labels,
            needs_labels=needs_labels,
            on_cut=on_cut,
        )

    def checked_unlabeled(self, dataset: Dataset | None) -> Dataset | None:
        """Rows of text without labels, if there are any; some of them are tried out.

        Raises:
            InvalidDataError: if it is no data set, empty, or has other columns.
        """
        plain = plain_or_none(dataset, "unlabeled_dataset")
        if plain is not None:
            self.rows(plain.select(range(min(_NUM_TRIED, len(plain)))), needs_labels=False)
        return plain

    def _tell_cut(self, key: str, name: str, num_rows: int, num_cut: int) -> None:
        if num_cut and key not in self._told:
            self._told.add(key)
            is_most = self._limit is not None and self.max_length >= self._limit
            remedy = "the model takes no more" if is_most else "a greater max_length (--max-length) keeps more"
            limit = f"max_length={self.max_length} tokens"
            if self.text_tokenizer is None:
                limit, remedy = f"{MAX_SECONDS} seconds", "no more of a sound is read"
            self.listener.say(
                f"{num_cut:,} of {num_rows:,} rows{f' of {name}' * bool(name)} ({num_cut / num_rows:.1%}) are longer "
                f"than {limit} and are cut, in training, scores and serving alike; {remedy}"
            )

    def require_head(self) -> None:
        """Pass if the teacher's head is trained.

        Raises:
            InvalidConfigError: if it is not.
        """
        if not self.has_head:
            raise InvalidConfigError(
                "The teacher must have a trained head for the task",
                f"this {type(self.teacher).__name__} has a new, random one",
                "Fine-tune the teacher first: call finetune_teacher",
            )

    def answered_rows(self, dataset: Dataset, *, needs_labels: bool = True) -> Dataset:
        """Rows with the teacher's logits, unless it is asked anew in each step; those of the last three data sets are
        kept: training rows, texts, copies.
        """
        dataset = plain_dataset(dataset, "dataset")
        if not self.problem.is_kept:
            return self.rows(dataset, needs_labels=needs_labels)
        key = dataset._fingerprint
        if key not in self._answered:
            rows = self.rows(dataset, needs_labels=needs_labels)
            last = dict(list(self._answered.items())[-2:])
            with working(self.listener, "the teacher answers", len(rows)):
                answered = with_teacher_logits(
                    rows, self.teacher, tokenizer=self.tokenizer, on_rows=lambda done: self.listener.advance(done, "")
                )
            self._answered = {**last, key: answered}
        return self._answered[key]


def _set_num_labels(config: PretrainedConfig, num_labels: int, *, has_head: bool) -> None:
    """Give a new head its number of classes, in place.

    Raises:
        InvalidConfigError: if the model has a trained head with another number.
    """
    if has_head and config.num_labels != num_labels:
        raise InvalidConfigError(
            f"num_labels must be {config.num_labels}, the classes of the model's trained head",
            f"got {num_labels}",
            "Leave num_labels out, or load a model without a head",
        )
    if not has_head:
        config.num_labels = num_labels
