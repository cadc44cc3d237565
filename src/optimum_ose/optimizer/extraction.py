"""The verb `extract` of OSEOptimizer, and what it leaves for the verbs that follow."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

from datasets import Dataset

from optimum_ose.configuration import SearchConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.keep_choice import KeepChoice
from optimum_ose.core.keep_question import require_answerable, rows_to_show
from optimum_ose.core.results import SearchResult
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.data.groups import whole_groups
from optimum_ose.distillation.candidates import CandidateSetting, Initialize, Measurer, ModelScore
from optimum_ose.elastic.student import ElasticStudent
from optimum_ose.exceptions import OSEError
from optimum_ose.guards import folder_or_none, require_config
from optimum_ose.modeling.prediction import predict_logits, torch_threads
from optimum_ose.optimizer.elastic import elastic_measurer, trained_elastic
from optimum_ose.optimizer.guards import checked_splits, journal_file
from optimum_ose.optimizer.keeping import Wanted, first_least_share
from optimum_ose.optimizer.latency import LatencyFinding
from optimum_ose.optimizer.search import shared_search
from optimum_ose.optimizer.settling import is_default_keep, settled
from optimum_ose.optimizer.students import StudentMaker
from optimum_ose.optimizer.teacher_task import TeacherTask
from optimum_ose.optimizer.team import search_threads
from optimum_ose.question import measuring_question, model_digest, rows_digest, search_question

_FEW = "rows to show a share"
"""Said once, as `TeacherTask` remembers it."""
_ALPHA = 0.05
"""Accepted probability that a statement on all rows is wrong."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How the candidates of a search are measured."""

    derive_space: Callable[[], SearchSpace]
    rows: Dataset
    """To distil on."""
    initialize: Initialize
    question: Callable[[], Mapping[str, Any]]
    """That the journal answers."""
    measurer: Measurer | None = None
    """None: each candidate is trained for a short while."""
    wanted: Wanted | None = None
    """What is asked of a candidate's score."""


class Extraction(TeacherTask):
    """The search of one teacher's student. Arguments: those of `TeacherRows`."""

    latency: LatencyFinding | None = None
    """What the last `extract` learned of latency, if it was bounded or the cost."""
    choice: KeepChoice | None = None
    """Which candidates the last `extract` chose from, if a share of the teacher's score was to be kept."""
    measured: Mapping[Architecture, float] = MappingProxyType({})
    """Score of each part of the shared weights that the last `extract` measured, on the development rows that measure
    the error; empty of other methods than elastic.
    """
    _make_student: StudentMaker | None = None
    _elastic: ElasticStudent | None = None

    def extract(
        self,
        config: SearchConfig | None = None,
        *,
        train_dataset: Dataset,
        eval_dataset: Dataset,
        journal: str | os.PathLike[str] | None = None,
        elastic_folder: str | os.PathLike[str] | None = None,
        least_share: float | None = None,
    ) -> SearchResult:
        """Search the architecture: a candidate's error is measured by a short distillation, or, with the method
        elastic, on the part of the shared weights that it is.

        Args:
            config: how to search.
            train_dataset: rows to distil on.
            eval_dataset: development rows; the first `config.num_eval_rows` of a seeded shuffle measure the error.
            journal: file of finished evaluations and latencies, resumed if it exists; timed ONNX files lie beside it.
            elastic_folder: where the shared weights are kept, training resumes from what is found there; None: they are
                not kept.
            least_share: of the teacher's score, which a candidate's measured weights must have where `config.keep` is
                set; None: somewhat less than `config.keep`, for they gain from distillation.

        Raises:
            InvalidConfigError: if the teacher has no trained head yet, or the space is too small for a latency model.
            InfeasibleError: if the constraints leave no candidate.
            UnsupportedModelError: if a student of the task cannot be judged.
        """
        self._definition.require_judge(self.teacher.config)
        self.require_head()
        require_config(config, SearchConfig)
        settings, journal_path = settled(self, config or SearchConfig()), journal_file(journal)
        self.require_searchable(settings)
        train_dataset, eval_dataset, _ = checked_splits(train_dataset, eval_dataset, None)
        settings = self._keepable(settings, eval_dataset)
        states = folder_or_none(elastic_folder, "elastic_folder")
        with torch_threads(search_threads(settings.num_threads)):
            rows = self.rows(eval_dataset)
            part = whole_groups(rows.shuffle(seed=settings.seed), settings.num_eval_rows)
            self._make_student, self._elastic = None, None
            if settings.method == "elastic":
                plan = self._parts_of_one_training(settings, train_dataset, rows, part, states, least_share)
            elif settings.method == "inherited":
                plan = self._as_inherited(settings, train_dataset, rows, part, least_share)
            else:
                plan = self._short_trainings(settings, train_dataset, rows)
            found = shared_search(
                plan.derive_space,
                CandidateSetting(
                    teacher=self.teacher,
                    tokenizer=self.tokenizer,
                    rows=plan.rows,
                    eval_rows=part,
                    initialize=plan.initialize,
                    search=settings,
                    task=self.task,
                    score=self._model_score(eval_dataset),
                ),
                question=plan.question,
                journal=journal_path,
                listener=self.listener,
                measurer=plan.measurer,
                wanted=plan.wanted,
            )
            self.latency, self.choice, self.measured = found.latency, found.choice, found.scores
            return found.result

    def _keepable(self, settings: SearchConfig, eval_dataset: Dataset) -> SearchConfig:
        """The settings, if the share to keep means something on the development rows. The default share is left out
        where it does not, and that is said.
        """
        if not settings.keep:
            return settings
        num_rows, score = len(eval_dataset), self.score(self.teacher, eval_dataset)
        trivial = self.metric.trivial_score(self.references(eval_dataset))
        try:
            require_answerable(settings.keep, teacher_score=score, trivial_score=trivial, num_rows=num_rows)
        except OSEError as error:
            if not is_default_keep(settings):
                raise
            self.listener.say(f"no share of the teacher's score is kept: {error}")
            return replace(settings, keep=0.0, prefer=None)
        needed = rows_to_show(settings.keep, score, alpha=_ALPHA) if self.metric.name == "accuracy" else None
        if needed is not None and num_rows < needed and _FEW not in self._told:
            self._told.add(_FEW)
            self.listener.say(
                f"{num_rows:,} development rows decide whether the student keeps {settings.keep:.1%} of the teacher's "
                f"accuracy; to prove that of all rows like these, about {needed:,} are needed ({1 - _ALPHA:.0%} sure)"
            )
        return settings

    def _parts_of_one_training(
        self,
        settings: SearchConfig,
        train_dataset: Dataset,
        eval_rows: Dataset,
        part: Dataset,
        states: Path | None,
        least_share: float | None,
    ) -> _Plan:
        """Candidates are measured as parts of shared weights, which are trained here unless they were before."""
        space = self.search_space(settings)
        self._elastic = student = trained_elastic(self, space, settings, train_dataset=train_dataset, folder=states)
        measurer = elastic_measurer(self, student, settings, part)
        return _Plan(
            derive_space=lambda: space,
            rows=self.rows(train_dataset),
            initialize=student.materialize,
            question=partial(
                measuring_question,
                self.teacher,
                settings,
                weights=model_digest(student.shared),
                eval_rows=eval_rows,
                benchmark_task=self.benchmark_task,
            ),
            measurer=measurer,
            wanted=_wanted(settings, least_share, teacher_score=measurer.teacher_score),
        )

    def _as_inherited(
        self,
        settings: SearchConfig,
        train_dataset: Dataset,
        eval_rows: Dataset,
        part: Dataset,
        least_share: float | None,
    ) -> _Plan:
        """Candidates are measured with what each inherits alone."""
        rows = self.rows(train_dataset)
        self._make_student = make = StudentMaker(self.teacher, self.tokenizer, task=self.task, rows=rows)
        if make.refusal is not None:
            raise make.refusal
        measurer = elastic_measurer(self, make, settings, part)
        return _Plan(
            derive_space=partial(self.search_space, settings),
            rows=rows,
            initialize=make,
            question=partial(
                measuring_question,
                self.teacher,
                settings,
                weights=f"inherited by {rows_digest(rows)}",
                eval_rows=eval_rows,
                benchmark_task=self.benchmark_task,
            ),
            measurer=measurer,
            wanted=_wanted(settings, least_share, teacher_score=measurer.teacher_score),
        )

    def _short_trainings(self, settings: SearchConfig, train_dataset: Dataset, eval_rows: Dataset) -> _Plan:
        """Each candidate is distilled for a short while."""
        rows = self.answered_rows(train_dataset) if self.problem.is_kept else self.rows(train_dataset)
        self._make_student = StudentMaker(
            self.teacher, self.tokenizer, task=self.task, rows=rows, layer_selection=settings.layer_selection
        )
        return _Plan(
            derive_space=partial(self.search_space, settings),
            rows=rows,
            initialize=self._make_student,
            question=partial(
                search_question,
                self.teacher,
                settings,
                rows=rows,
                eval_rows=eval_rows,
                benchmark_task=self.benchmark_task,
            ),
        )

    def _model_score(self, dataset: Dataset) -> ModelScore:
        """What the search takes for the score of a candidate."""
        if self.problem.judge is not None:
            return lambda student, _: self.score(student, dataset)
        metric, tokenizer = self.metric, self.tokenizer
        return lambda student, rows: metric.score(predict_logits(student, rows, tokenizer=tokenizer), rows)


def _wanted(settings: SearchConfig, least_share: float | None, *, teacher_score: float) -> Wanted | None:
    """What is asked of a candidate's measured weights, where a share of the teacher's score is to be kept."""
    if not settings.keep or not teacher_score > 0:
        return None
    least = first_least_share(settings.keep, str(settings.method)) if least_share is None else least_share
    return Wanted(keep=settings.keep, least_share=least, teacher_score=teacher_score)
