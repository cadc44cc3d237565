"""What a teacher and its students score, and how the teacher gets its head."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainingArguments,
)

from optimum_ose.configuration import SearchConfig
from optimum_ose.configuration.search import WITHOUT_SHORT_TRAININGS
from optimum_ose.data.given import plain_dataset
from optimum_ose.data.labels import head_names, same_classes
from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.export.decoders import writes_sequences
from optimum_ose.finetuning.new_head import raise_head_rate, start_at_frequencies
from optimum_ose.finetuning.trainer import build_trainer
from optimum_ose.guards import require_kind
from optimum_ose.modeling.health import require_weights
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.optimizer.asking import ask
from optimum_ose.optimizer.guards import (
    require_student,
    require_training,
)
from optimum_ose.optimizer.served import served_answers
from optimum_ose.optimizer.teacher_rows import TeacherRows
from optimum_ose.optimizer.token_rows import give_head
from optimum_ose.optimizer.training import scores, train
from optimum_ose.progress import working
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks import labeled_task
from optimum_ose.tasks.parts.benchmark_metrics import benchmark_metric
from optimum_ose.tasks.parts.judge import Answers, Judge, Questions
from optimum_ose.tasks.parts.problem import Metric
from optimum_ose.tasks.parts.served_answers import ServedAnswers


class TeacherTask(TeacherRows):
    """How answers to one teacher's task are judged. Arguments: those of `TeacherRows`."""

    @property
    def metric(self) -> Metric:
        """How answers to the task are judged; only of tasks with labels."""
        if self.benchmark_task is not None and self._definition.inputs.labels_name_outputs:
            return benchmark_metric(self.benchmark_task, head_names(self.teacher.config))
        return self._definition.metric(self.teacher.config)

    def metric_name(self, dataset: Dataset) -> str:
        """The score that decides on such rows; higher is better."""
        judge = self.problem.judge
        return self.metric.name if judge is None else judge.name(dataset)

    def score(self, model: PreTrainedModel, dataset: Dataset) -> float:
        """What a PyTorch model of the task scores on a data set, by the metric that decides."""
        return self.scores(model, dataset)[self.metric_name(dataset)]

    def scores(self, model: PreTrainedModel, dataset: Dataset) -> dict[str, float]:
        """All scores of such a model of the task on a data set, with labels where the task has them. Words without a
        token, such as those beyond the length limit, count as O.
        """
        self.require_head()
        require_kind(model, PreTrainedModel, "model", "Pass a model of Transformers, without a wrapper")
        require_weights(model, "model")
        dataset = plain_dataset(dataset, "dataset")
        if self.problem.judge is not None:
            return self._judged(dataset, lambda judge, asked: self._asked(judge, asked, model))
        rows = self.rows(dataset)
        with working(self.listener, "scoring", None):
            asked = self.problem.asked
            answers = (
                predict_logits(model, rows, tokenizer=self.tokenizer)
                if asked is None
                else asked(model, rows, self.tokenizer)
            )
        return self._definition.inputs.scores(answers, rows, dataset, metric=self.metric, settings=self._row_settings())

    def references(self, dataset: Dataset) -> Sequence[Any]:
        """What is right for each row of a data set with labels, numbered as the teacher's head is."""
        return self._definition.inputs.references(dataset, self.teacher.config)

    def served_scores(
        self, folder: str | os.PathLike[str], dataset: Dataset, *, file_name: str | None = None
    ) -> dict[str, float]:
        """All scores of an exported folder on raw rows, as `OnnxPipeline` serves it; arguments of `served_score`."""
        if self.problem.judge is None:
            return self.served_answers(folder, dataset, file_name=file_name).scores()
        self.require_head()
        pipeline = OnnxPipeline.from_pretrained(folder, file_name=file_name)
        dataset = plain_dataset(dataset, "dataset")
        return self._judged(dataset, lambda judge, asked: judge.served(pipeline, asked))

    def served_answers(
        self, folder: str | os.PathLike[str], dataset: Dataset, *, file_name: str | None = None
    ) -> ServedAnswers:
        """What an exported folder of a task with labels answers to raw rows; see `served.served_answers`."""
        self.require_head()
        return served_answers(
            Path(folder), dataset, task=self.task, file_name=file_name, benchmark_task=self.benchmark_task
        )

    def served_score(self, folder: str | os.PathLike[str], dataset: Dataset, *, file_name: str | None = None) -> float:
        """What an exported folder scores on raw rows, as it is served, by the task's main metric.

        Args:
            folder: an exported model of the task.
            dataset: raw rows with labels.
            file_name: ONNX file relative to the folder; None: the folder's default.
        """
        return self.served_scores(folder, dataset, file_name=file_name)[self.metric_name(dataset)]

    def _judged(self, dataset: Dataset, answer: Callable[[Judge, Questions], Answers]) -> dict[str, float]:
        """Scores of a task without labels: what a model, or a folder, answers to the questions of a data set."""
        judge, (questions, of_teacher) = cast(Judge, self.problem.judge), self.asked(dataset)
        return judge.scores(answer(judge, questions), questions, of_teacher)

    def asked(self, dataset: Dataset) -> tuple[Questions, Callable[[], Answers]]:
        """What a task without labels asks of rows, and what gives the teacher's answers; those of two sets are kept.

        Raises:
            InvalidDataError, UnsupportedModelError: if nothing can be asked of the rows, or with the tokenizer.
        """
        judge, key = cast(Judge, self.problem.judge), dataset._fingerprint
        if key not in self._questions:
            tokenizer = cast(PreTrainedTokenizerBase, self.tokenizer)
            found = judge.questions(dataset, tokenizer, max_length=self.max_length)
            last = dict(list(self._questions.items())[-1:])
            self._questions = {**last, key: (found, cache(lambda: self._asked(judge, found, self.teacher)))}
        return self._questions[key]

    def _asked(self, judge: Judge, questions: Questions, model: PreTrainedModel) -> Answers:
        with working(self.listener, "scoring", None):
            return ask(model, judge, questions, cast(PreTrainedTokenizerBase, self.tokenizer))

    def finetune_teacher(
        self,
        train_dataset: Dataset,
        eval_dataset: Dataset,
        args: TrainingArguments,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> dict[str, float]:
        """Give a teacher without a head its head, and return its scores on the development rows.

        Training goes on from the last checkpoint in `args.output_dir`, if there is one.
        """
        labeled_task(self.task)
        require_training(args, callbacks)
        train_dataset = plain_dataset(train_dataset, "train_dataset")
        eval_dataset = plain_dataset(eval_dataset, "eval_dataset")
        train_dataset, eval_dataset = same_classes(train_dataset, eval_dataset)
        if self._definition.inputs.labels_name_outputs:
            give_head(self.teacher, train_dataset)
        rows, eval_rows = self.rows(train_dataset), self.rows(eval_dataset)
        trainer = build_trainer(
            self.teacher,
            args,
            train_dataset=rows,
            eval_dataset=eval_rows,
            tokenizer=self.tokenizer,
            callbacks=callbacks,
            task=self.task,
            metric=self.metric,
        )
        if self.problem.classes_are_rare:
            start_at_frequencies(self.teacher, rows["labels"][:])
            raise_head_rate(trainer)
        train(trainer)
        self.has_head = True
        if self.problem.asked is not None:  # a Trainer judges something else than what is written
            return self.scores(self.teacher, eval_dataset)
        return scores(trainer)

    def require_searchable(self, settings: SearchConfig) -> None:
        """Pass if candidates of the task can be measured by a search's method.

        Raises:
            InvalidConfigError: if shared weights are asked for, and the task has no labels.
            UnsupportedModelError: if latency counts, and the model writes token after token.
        """
        if writes_sequences(self.teacher) and (
            settings.max_latency_ms is not None or settings.inference_cost == "latency"
        ):
            raise UnsupportedModelError(
                "Latency in the search needs models that answer in one run of one ONNX file",
                f"a {type(self.teacher).__name__} writes token after token",
                "Leave out max_latency_ms and inference_cost='latency': benchmark.json has the latency of the student",
            )
        if settings.method in WITHOUT_SHORT_TRAININGS and self.problem.judge is not None:
            raise InvalidConfigError(
                f"search.method {settings.method} needs answers that are compared one by one",
                f"those of {self.task} are judged as a whole",
                "Choose certified, stride or exhaustive",
            )

    def require_student(self, student: PreTrainedModel) -> None:
        """Pass if a model can be trained as the teacher's student.

        Raises:
            InvalidConfigError: if it is no model, the teacher itself, or has other answers or fewer tokens.
        """
        num_tokens = 0 if self.text_tokenizer is None else len(self.text_tokenizer)
        require_student(student, self.teacher, self.problem, num_tokens=num_tokens)
