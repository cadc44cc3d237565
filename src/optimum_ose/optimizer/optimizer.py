"""OSEOptimizer: a teacher, a tokenizer and a task, with one verb per stage."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import final

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainingArguments

from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration import AgoraConfig, DistillationConfig, ExportConfig, OSEConfig, SearchConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.results import SearchResult
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.data.tokenization import TEACHER_LOGITS
from optimum_ose.distillation.answers import NOT_KEPT
from optimum_ose.distillation.candidates import CandidateSetting
from optimum_ose.distillation.loop import distill
from optimum_ose.distillation.teaching import with_teacher_logits
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.export.half_precision import write_half_weights
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.quantization import quantize_dynamic_int8, quantize_static_int8
from optimum_ose.finetuning.metrics import TaskMetric, metric_for
from optimum_ose.finetuning.pool_file import POOL_FILE
from optimum_ose.finetuning.trainer import build_trainer
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.modeling.loading import load_config, load_teacher, load_tokenizer
from optimum_ose.modeling.prediction import predict_logits, torch_threads
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.modeling.tasks import Problem, holds_head, problem_of, require_distillable, require_trainable
from optimum_ose.optimizer.folders import save_into
from optimum_ose.optimizer.latency import LatencyFinding
from optimum_ose.optimizer.search import shared_search
from optimum_ose.optimizer.students import StudentMaker
from optimum_ose.optimizer.team import search_threads
from optimum_ose.optimizer.token_rows import give_head, join_unlabeled, token_rows
from optimum_ose.optimizer.training import scores, train
from optimum_ose.progress import Listener, SilentListener
from optimum_ose.question import search_question


@final
class OSEOptimizer:
    """Finds, trains and exports the small student of one teacher.

    Args:
        teacher: the maximum point T, a Transformers model.
        tokenizer: of teacher and student.
        task: what both do.
        has_head: whether the teacher's head for the task is trained; without it, `finetune_teacher` comes first.
        max_length: tokens per text; longer ones are cut.
        listener: hears of progress.
    """

    def __init__(
        self,
        teacher: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        task: str,
        has_head: bool = True,
        max_length: int = 128,
        listener: Listener | None = None,
    ) -> None:
        require_distillable(task)
        self.teacher = teacher
        self.tokenizer = tokenizer
        self.task = task
        self.has_head = has_head
        self.max_length = max_length
        self.listener: Listener = listener or SilentListener()
        self.latency: LatencyFinding | None = None
        """What the last `extract` learned of latency, if it was bounded or the cost."""
        self._make_student: StudentMaker | None = None
        self._answered: tuple[str, Dataset] | None = None

    @classmethod
    def from_pretrained(
        cls,
        model_name_or_path: str | os.PathLike[str],
        *,
        task: str = "text-classification",
        num_labels: int | None = None,
        max_length: int = 128,
        trust_remote_code: bool = False,
        revision: str | None = None,
        listener: Listener | None = None,
    ) -> "OSEOptimizer":
        """Load a teacher and its tokenizer.

        Args:
            model_name_or_path: folder or Hub id.
            task: what the student shall do.
            num_labels: classes, for a teacher that has no head yet; None: decided by `finetune_teacher`'s data.
            max_length: tokens per text; longer ones are cut.
            trust_remote_code: run code that comes with the model; off unless asked for.
            revision: branch, tag or commit on the Hub.
            listener: hears of progress.

        Raises:
            InvalidConfigError: if there is no such model.
            UnsupportedModelError: if the task is not handled.
        """
        require_distillable(task)
        source = os.fspath(model_name_or_path)
        config = load_config(source, trust_remote_code=trust_remote_code, revision=revision)
        tokenizer = load_tokenizer(source, trust_remote_code=trust_remote_code, revision=revision)
        if num_labels is not None and not holds_head(config, task):
            config.num_labels = num_labels
        teacher = load_teacher(source, config, task=task, trust_remote_code=trust_remote_code, revision=revision)
        limit = min(max_length, tokenizer.model_max_length, getattr(config, "max_position_embeddings", max_length))
        return cls(
            teacher, tokenizer, task=task, has_head=holds_head(config, task), max_length=limit, listener=listener
        )

    def search_space(self, config: SearchConfig | None = None) -> SearchSpace:
        """The search space of the teacher's config, with the task's head counted."""
        axes = (config or SearchConfig()).axes
        return derive_search_space(self.teacher.config, task=self.task, **axes)

    @property
    def problem(self) -> Problem:
        """What an answer of the teacher is."""
        return problem_of(self.task, self.teacher.config)

    @property
    def metric(self) -> TaskMetric:
        """How answers to the task are judged."""
        return metric_for(self.problem, self.teacher.config)

    def score(self, model: PreTrainedModel, dataset: Dataset) -> float:
        """What a PyTorch model of the task scores on a data set with labels, by the task's main metric."""
        rows = self.rows(dataset)
        return self.metric.score(predict_logits(model, rows, tokenizer=self.tokenizer), rows)

    def rows(self, dataset: Dataset, *, needs_labels: bool = True) -> Dataset:
        """Token rows of a data set with the columns `text`, maybe `text_pair`, or `tokens`, and `label`; token rows
        are returned as they are. Tasks without labels of people, and `needs_labels=False`, do without the last.

        Raises:
            InvalidDataError: if the columns are others, or the classes are not the teacher's.
        """
        return token_rows(
            dataset,
            self.teacher.config if self.has_head else None,
            self.tokenizer,
            task=self.task,
            max_length=self.max_length,
            needs_labels=needs_labels,
        )

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
        require_trainable(self.task)
        rows, eval_rows = self.rows(train_dataset), self.rows(eval_dataset)
        give_head(self.teacher, train_dataset)
        trainer = build_trainer(
            self.teacher,
            args,
            train_dataset=rows,
            eval_dataset=eval_rows,
            tokenizer=self.tokenizer,
            callbacks=callbacks,
            task=self.task,
        )
        train(trainer)
        self.has_head = True
        return scores(trainer)

    def extract(
        self,
        config: SearchConfig | None = None,
        *,
        train_dataset: Dataset,
        eval_dataset: Dataset,
        journal: str | os.PathLike[str] | None = None,
    ) -> SearchResult:
        """Search the architecture: every candidate's error is measured by a short distillation.

        Args:
            config: how to search.
            train_dataset: rows to distil on.
            eval_dataset: development rows; the first `config.num_eval_rows` of a seeded shuffle measure the error.
            journal: file of finished evaluations and latencies, gone on from if it exists; None: nothing is kept. The
                ONNX files of candidates whose latency is measured lie beside it meanwhile.

        Raises:
            InvalidConfigError: if the teacher has no trained head yet, or the space is too small for a latency model.
            InfeasibleError: if the constraints leave no candidate.
            UnsupportedModelError: if the task has no labels that judge a student.
        """
        require_trainable(self.task)
        self._require_head()
        settings = config or SearchConfig()
        with torch_threads(search_threads(settings.num_threads)):
            rows, eval_rows = self._answered_rows(train_dataset), self.rows(eval_dataset)
            self._make_student = StudentMaker(self.teacher, self.tokenizer, task=self.task, rows=rows)
            shuffled = eval_rows.shuffle(seed=settings.seed)
            setting = CandidateSetting(
                teacher=self.teacher,
                tokenizer=self.tokenizer,
                rows=rows,
                eval_rows=shuffled.select(range(min(settings.num_eval_rows, len(shuffled)))),
                initialize=self._make_student,
                search=settings,
                task=self.task,
                score=self.metric.score,
            )
            result, self.latency = shared_search(
                partial(self.search_space, settings),
                setting,
                question=lambda: search_question(self.teacher, settings, rows=rows, eval_rows=eval_rows),
                journal=Path(journal) if journal is not None else None,
                listener=self.listener,
            )
            return result

    def initialize(
        self, architecture: Architecture, *, calibration_dataset: Dataset | None = None, scratch_seed: int | None = None
    ) -> PreTrainedModel:
        """A student of an architecture that inherits the teacher's weights by importance.

        Args:
            architecture: from the teacher's search space.
            calibration_dataset: rows on which importance is measured; None: the training rows of the last `extract`.
            scratch_seed: draw random weights with this seed instead of inheriting.

        Raises:
            InvalidConfigError: if there are no calibration rows.
        """
        if scratch_seed is not None:
            return from_scratch(self.teacher, architecture, task=self.task, seed=scratch_seed)
        if calibration_dataset is not None:
            rows = self.rows(calibration_dataset)
            self._make_student = StudentMaker(self.teacher, self.tokenizer, task=self.task, rows=rows)
        if self._make_student is None:
            raise InvalidConfigError(
                "Inheriting by importance needs calibration rows",
                "none were given",
                "Pass calibration_dataset, or call extract first",
            )
        return self._make_student(architecture)

    def distill(
        self,
        student: PreTrainedModel,
        train_dataset: Dataset,
        config: DistillationConfig | None = None,
        *,
        unlabeled_dataset: Dataset | None = None,
        checkpoint_folder: str | os.PathLike[str] | None = None,
        answers_folder: str | os.PathLike[str] | None = None,
    ) -> PreTrainedModel:
        """Train the student, in place, to answer as the teacher does; see `distillation.loop.distill`.

        Args:
            student: changed in place.
            train_dataset: rows to learn from; for tasks without labels of people, plain text.
            config: the recipe.
            unlabeled_dataset: further rows of text, on which the student learns from the teacher alone.
            checkpoint_folder: where the state is kept; a state found there is gone on from.
            answers_folder: where the teacher's answers are kept, for the next distillation from the same rows.
        """
        self._require_head()
        settings = config or DistillationConfig()
        if unlabeled_dataset is not None:
            further = self.rows(unlabeled_dataset, needs_labels=False)
            train_dataset = join_unlabeled(self.rows(train_dataset), further)
        needs_answers = answers_folder is None and self.problem not in NOT_KEPT
        self.listener.stage("distill", settings.num_steps)
        report = distill(
            student,
            self.teacher,
            rows=self._answered_rows(train_dataset) if needs_answers else self.rows(train_dataset),
            tokenizer=self.tokenizer,
            config=settings,
            task=self.task,
            checkpoint_folder=Path(checkpoint_folder) if checkpoint_folder is not None else None,
            answers_folder=Path(answers_folder) if answers_folder is not None else None,
            on_step=lambda step, loss: self.listener.advance(step, f"loss {loss:.3f}"),
        )
        self.listener.finish()
        if report.resumed_from:
            self.listener.say(f"distillation went on from step {report.resumed_from}")
        return student

    def finetune(
        self,
        student: PreTrainedModel,
        *,
        train_dataset: Dataset,
        eval_dataset: Dataset,
        test_dataset: Dataset | None = None,
        args: TrainingArguments,
        agora: AgoraConfig | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> PreTrainedModel:
        """Fine-tune the student, in place, with a stock Trainer, and with Agora if it is given; the labeler is the
        teacher.

        Training goes on from the last checkpoint in `args.output_dir`, if there is one. After Agora the score on
        `eval_dataset` is optimistic: that on `test_dataset` stands in each round's report, and steers nothing.

        Raises:
            InvalidConfigError: if the teacher has no trained head, or Agora does not know the task's labels.
        """
        require_trainable(self.task)
        self._require_head()
        trainer = build_trainer(
            student,
            args,
            train_dataset=self.rows(train_dataset),
            eval_dataset=self.rows(eval_dataset),
            tokenizer=self.tokenizer,
            agora=agora,
            labeler=self.teacher if agora is not None else None,
            labeler_logits=lambda: self._answered_rows(train_dataset)[TEACHER_LOGITS][:],
            test_dataset=self.rows(test_dataset) if test_dataset is not None else None,
            callbacks=callbacks,
            task=self.task,
        )
        train(trainer, needed=(POOL_FILE,) if agora is not None else ())
        return student

    def export(
        self,
        student: PreTrainedModel,
        folder: str | os.PathLike[str],
        config: ExportConfig | None = None,
        *,
        calibration_dataset: Dataset | None = None,
    ) -> OSEArtifact:
        """Write a plain `from_pretrained` folder with `onnx/model.onnx` and, if wanted, `onnx/model_quantized.onnx` and
        `onnx/model_fp16.onnx`.

        Args:
            student: what is exported.
            folder: where to.
            config: see `ExportConfig`.
            calibration_dataset: rows of the task, for static int8.

        Raises:
            ExportError: if the ONNX file does not compute what the student computes.
            InvalidConfigError: if static int8 is wanted without rows.
            UnsupportedModelError: if the model cannot be exported in this way.
        """
        settings = config or ExportConfig()
        path = Path(folder)
        save_into(student, self.tokenizer, path)
        pooling = None if settings.pooling == "none" else settings.pooling
        export_onnx(student, self.tokenizer, path, opset=settings.opset, tolerance=settings.tolerance, pooling=pooling)
        if settings.quantization == "dynamic-int8":
            quantize_dynamic_int8(path)
        elif settings.quantization == "static-int8":
            rows = self.rows(calibration_dataset, needs_labels=False) if calibration_dataset is not None else ()
            quantize_static_int8(path, rows, tokenizer=self.tokenizer)
        if settings.half_weights:
            write_half_weights(path)
        return OSEArtifact(path)

    def optimize(
        self,
        folder: str | os.PathLike[str],
        config: OSEConfig | None = None,
        *,
        train_dataset: Dataset,
        eval_dataset: Dataset,
        test_dataset: Dataset,
        unlabeled_dataset: Dataset | None = None,
    ) -> OSEArtifact:
        """All stages, one after the other; called again with the same arguments it goes on where it stopped."""
        from optimum_ose.optimizer.pipeline import run_stages
        from optimum_ose.optimizer.run import Rows, open_run

        rows = Rows(train=train_dataset, validation=eval_dataset, test=test_dataset, unlabeled=unlabeled_dataset)
        return run_stages(open_run(self, Path(folder), rows, config or OSEConfig()))

    def _require_head(self) -> None:
        if not self.has_head:
            raise InvalidConfigError(
                "The teacher must have a trained head for the task",
                f"this {type(self.teacher).__name__} has a new, random one",
                "Call finetune_teacher first",
            )

    def _answered_rows(self, dataset: Dataset) -> Dataset:
        """Token rows with the teacher's logits, computed once for each data set."""
        key = dataset._fingerprint
        if self._answered is None or self._answered[0] != key:
            rows = with_teacher_logits(self.rows(dataset), self.teacher, tokenizer=self.tokenizer)
            self._answered = (key, rows)
        return self._answered[1]
