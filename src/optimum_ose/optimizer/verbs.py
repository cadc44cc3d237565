"""The verbs of OSEOptimizer, one for each stage."""

import os
from collections.abc import Sequence

from datasets import Dataset
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments

from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration import (
    AgoraConfig,
    DistillationConfig,
    ExportConfig,
    LayerSelection,
    SearchConfig,
)
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.results import SearchResult
from optimum_ose.data.given import plain_or_none
from optimum_ose.data.tokenization import TEACHER_LOGITS
from optimum_ose.distillation.loop import distill
from optimum_ose.elastic.student import ElasticStudent
from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.export.formats import write_formats
from optimum_ose.finetuning.pool_file import POOL_FILE
from optimum_ose.finetuning.trainer import build_trainer
from optimum_ose.guards import folder_or_none, require_config, require_kind, require_path, require_whole_number
from optimum_ose.modeling.health import require_weights
from optimum_ose.modeling.initialization import from_scratch
from optimum_ose.optimizer.augmentation import rows_to_learn
from optimum_ose.optimizer.extraction import Extraction
from optimum_ose.optimizer.folders import save_into
from optimum_ose.optimizer.guards import checked_splits, chosen_architecture, require_training
from optimum_ose.optimizer.scored import Scored
from optimum_ose.optimizer.students import StudentMaker
from optimum_ose.optimizer.training import train
from optimum_ose.output_folder import claim_for_export
from optimum_ose.processes import require_single_process
from optimum_ose.progress import working
from optimum_ose.tasks import labeled_task


class Verbs(Extraction):
    """What is done with one teacher, a verb for each stage. Arguments: those of `TeacherRows`."""

    def initialize(
        self,
        architecture: Architecture | SearchResult,
        *,
        calibration_dataset: Dataset | None = None,
        layer_selection: LayerSelection | None = None,
        scratch_seed: int | None = None,
    ) -> PreTrainedModel:
        """A student of an architecture that inherits the teacher's weights by importance; after an `extract` with the
        method elastic, with the weights that were measured.

        Args:
            architecture: from the teacher's search space, or the result of the search that found it.
            calibration_dataset: rows on which importance is measured; None: the training rows of the last `extract`,
                or the weights of its elastic student.
            layer_selection: which of the teacher's layers the student inherits; None: as in the last `extract` without
                `calibration_dataset`, evenly with it.
            scratch_seed: draw random weights with this seed instead of inheriting.

        Raises:
            InvalidConfigError: if there are no calibration rows, a selection of layers is given without them, or the
                teacher has no trained head yet.
            UnsupportedModelError: if layers are to be selected by their worth, and importance cannot be measured.
        """
        self.require_head()
        chosen = chosen_architecture(architecture, self.teacher.config, self.task)
        if scratch_seed is not None:
            require_whole_number(scratch_seed, "scratch_seed", least=0)
            return from_scratch(self.teacher, chosen, task=self.task, seed=scratch_seed)
        if self._elastic is not None and calibration_dataset is None and layer_selection is None:
            return self._from_shared(self._elastic, chosen)
        if calibration_dataset is not None:
            self._make_student = StudentMaker(
                self.teacher,
                self.tokenizer,
                task=self.task,
                rows=self.rows(calibration_dataset),
                layer_selection=SearchConfig(layer_selection=layer_selection or "even").layer_selection,  # checked
            )
        elif layer_selection is not None or self._make_student is None:
            raise InvalidConfigError(
                "Inheriting by importance, or a selection of layers, needs calibration rows",
                "none were given",
                "Pass calibration_dataset, or call extract first",
            )
        return self._make_student(chosen)

    def _from_shared(self, elastic: ElasticStudent, chosen: Architecture) -> PreTrainedModel:
        """A part of the shared weights.

        Raises:
            InvalidConfigError: if they do not hold it.
        """
        try:
            return elastic.materialize(chosen)
        except UnsupportedModelError as error:
            raise InvalidConfigError(
                "The architecture must be a part of the weights that the last extract has trained",
                error.actual,
                "Pass calibration_dataset to inherit from the teacher itself, or admit it in extract "
                "(max_non_embedding_parameters)",
            ) from error

    def distill(
        self,
        student: PreTrainedModel,
        train_dataset: Dataset,
        config: DistillationConfig | None = None,
        *,
        unlabeled_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        checkpoint_folder: str | os.PathLike[str] | None = None,
        answers_folder: str | os.PathLike[str] | None = None,
    ) -> PreTrainedModel:
        """Train the student, in place, to answer as the teacher does; see `distillation.loop.distill`.

        Args:
            student: changed in place.
            train_dataset: rows to learn from; for tasks without labels of people, plain text.
            config: the recipe.
            unlabeled_dataset: further rows of text, on which the student learns from the teacher alone.
            eval_dataset: development rows on which the student is scored before and after; it gets its weights back
                if it was better before, and that is said. None: it stays as distillation leaves it.
            checkpoint_folder: where the state is kept; training resumes from a state found there.
            answers_folder: where the teacher's answers are kept, for the next distillation from the same rows.

        Raises:
            InvalidConfigError: if the teacher has no trained head yet, or copies are wanted of rows that are no text
                with an answer; and as `distillation.loop.distill`.
            UnsupportedModelError: if copies are wanted and the teacher has no matrix of input embeddings.
        """
        self.require_head()
        self.require_student(student)
        require_config(config, DistillationConfig)
        settings = config or DistillationConfig()
        states = folder_or_none(checkpoint_folder, "checkpoint_folder")
        answers = folder_or_none(answers_folder, "answers_folder")
        keeps = answers is None and self.problem.is_kept
        rows = rows_to_learn(self, train_dataset, unlabeled_dataset, settings, keeps_answers=keeps)
        before = None if eval_dataset is None else Scored.now(self, student, eval_dataset)
        with working(self.listener, "distill", settings.num_steps):
            report = distill(
                student,
                self.teacher,
                rows=rows,
                tokenizer=self.tokenizer,
                config=settings,
                task=self.task,
                checkpoint_folder=states,
                answers_folder=answers,
                on_step=lambda step, loss: self.listener.advance(step, f"loss {loss:.3f}"),
            )
        if report.resumed_from:
            self.listener.say(f"distillation went on from step {report.resumed_from}")
        if before is not None:
            before.better(self, student, self.score(student, before.dataset))
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
        labeled_task(self.task)
        self.require_head()
        self.require_student(student)
        require_training(args, callbacks, agora)
        train_rows, eval_rows, test_rows = checked_splits(train_dataset, eval_dataset, test_dataset)
        trainer = build_trainer(
            student,
            args,
            train_dataset=self.rows(train_rows),
            eval_dataset=self.rows(eval_rows),
            tokenizer=self.tokenizer,
            agora=agora,
            labeler=self.teacher if agora is not None else None,
            labeler_logits=lambda: self.answered_rows(train_rows)[TEACHER_LOGITS][:],
            test_dataset=self.rows(test_rows) if test_rows is not None else None,
            callbacks=callbacks,
            task=self.task,
            metric=self.metric,
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
            InvalidConfigError: if static int8 is wanted without rows, or the teacher has no trained head yet.
            OutputFolderError: if the folder holds files of somebody else, or the teacher's own, or cannot be written.
            UnsupportedModelError: if the model cannot be exported in this way.
        """
        require_kind(student, PreTrainedModel, "student", "Pass the model that initialize returned, without a wrapper")
        require_weights(student, "student")
        self.require_head()
        require_config(config, ExportConfig)
        require_single_process("export")
        path, dataset = require_path(folder, "folder"), plain_or_none(calibration_dataset, "calibration_dataset")
        claim_for_export(path, teacher=getattr(self.teacher, "name_or_path", None))
        if student.config.num_labels == 1 and getattr(student.config, "problem_type", None) is None:
            student.config.problem_type = self.teacher.config.problem_type  # else served as a probability
        save_into(student, self.tokenizer, path, max_length=self.saved_length)
        write_formats(
            student,
            self.text_tokenizer,
            path,
            config or ExportConfig(),
            calibration_rows=lambda: self.rows(dataset, needs_labels=False) if dataset is not None else (),
        )
        return OSEArtifact(path)
