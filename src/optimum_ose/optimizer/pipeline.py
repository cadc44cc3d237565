"""The stages of a run, each finished once: what an earlier run has finished is read from the folder, not done again."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration import OSEConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.tasks import auto_class
from optimum_ose.optimizer.evaluation import accuracy, compare, examples, measure
from optimum_ose.optimizer.folders import save_as
from optimum_ose.optimizer.latency import check_bound
from optimum_ose.optimizer.optimizer import OSEOptimizer
from optimum_ose.optimizer.trainer_arguments import ProgressCallback, student_arguments, teacher_arguments
from optimum_ose.question import model_digest, rows_digest
from optimum_ose.report.latency_text import bound_sentence
from optimum_ose.report.writing import write_report
from optimum_ose.serialization import canonical_json, plain, read_json, result_to_dict, write_atomic

Stage = Literal["teacher", "extract", "distill", "finetune", "export", "benchmark", "report"]
STAGES: tuple[Stage, ...] = ("teacher", "extract", "distill", "finetune", "export", "benchmark", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Train teaches, validation steers, test judges once, at the end."""

    train: Dataset
    """Rows to learn from."""
    validation: Dataset
    """Rows that steer."""
    test: Dataset
    """Rows that judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run in one folder."""

    optimizer: OSEOptimizer
    artifact: OSEArtifact
    rows: Rows
    config: OSEConfig


def open_run(
    optimizer: OSEOptimizer,
    folder: Path,
    rows: Rows,
    config: OSEConfig,
    *,
    request: Mapping[str, Any] = MappingProxyType({}),
) -> Run:
    """Open the output folder for this question.

    Raises:
        OutputFolderError: if it cannot be written or is not ours.
        JournalError: if it answers another question.
    """
    question = {
        "task": optimizer.task,
        "model": model_digest(optimizer.teacher),
        "config": plain(config),
        "max_length": optimizer.max_length,
        **{name: rows_digest(getattr(rows, name)) for name in ("train", "validation", "test")},
    }
    artifact = OSEArtifact.create(folder, question=question, request=request)
    return Run(optimizer=optimizer, artifact=artifact, rows=rows, config=config)


def run_stages(run: Run, *, only: tuple[Stage, ...] = STAGES) -> OSEArtifact:
    """Do the stages that are not finished yet.

    Args:
        run: optimizer, folder, data and settings.
        only: stages to do; an earlier one must be finished.

    Raises:
        InvalidConfigError: if a stage before the first of `only` is not finished.
    """
    for stage in STAGES[: STAGES.index(only[0])]:
        if run.artifact.stage(stage) is None:
            raise InvalidConfigError(
                f"Stage {only[0]!r} needs the stage {stage!r} to be finished in {run.artifact.path}",
                "it is not",
                f"Run `optimum-cli ose {'extract' if stage == 'teacher' else stage}` first, or `run` for all stages",
            )
    if "teacher" not in only:
        _use_finished_teacher(run)
    for stage in only:
        record = run.artifact.stage(stage)
        if record is None:
            start = time.perf_counter()
            found = _STAGES[stage](run)
            run.artifact.finish_stage(stage, {**found, "seconds": round(time.perf_counter() - start, 1)})
        elif stage == "teacher":
            _use_finished_teacher(run)
    return run.artifact


def winner(artifact: OSEArtifact) -> Architecture:
    """The architecture that the search chose."""
    return Architecture(read_json(artifact.search)["winner"]["architecture"])


def _teacher(run: Run) -> dict[str, Any]:
    optimizer = run.optimizer
    if optimizer.has_head:
        return {"finetuned_here": False}
    optimizer.listener.say("the model has no head for this task: it is fine-tuned first and kept as the teacher")
    found = optimizer.finetune_teacher(
        run.rows.train,
        run.rows.validation,
        teacher_arguments(run.artifact.checkpoints / "teacher", optimizer.teacher.config, run.config.teacher_arguments),
        callbacks=[ProgressCallback(optimizer.listener, "teacher")],
    )
    save_as(optimizer.teacher, optimizer.tokenizer, run.artifact.teacher)
    shutil.rmtree(run.artifact.checkpoints / "teacher", ignore_errors=True)
    return {"finetuned_here": True, "validation": found}


def _extract(run: Run) -> dict[str, Any]:
    optimizer, config = run.optimizer, run.config.search
    result = optimizer.extract(
        config, train_dataset=run.rows.train, eval_dataset=run.rows.validation, journal=run.artifact.journal
    )
    space = optimizer.search_space(config)
    described = {
        "axes": {axis: list(values) for axis, values in space.axes.items()},
        "constraints": [constraint.sentence for constraint in space.constraints],
        "num_architectures": len(space),
        "maximum_point": dict(space.maximum_point),
    }
    content = {**result_to_dict(result), "space": described, "settings": plain(config)}
    if optimizer.latency is not None:
        content["latency"] = optimizer.latency.to_dict(space, result.architecture)
    write_atomic(run.artifact.search, canonical_json(content))
    return {"num_evaluations": result.certificate.num_evaluations}


def _distill(run: Run) -> dict[str, Any]:
    optimizer = run.optimizer
    student = optimizer.initialize(winner(run.artifact), calibration_dataset=run.rows.train)
    optimizer.distill(
        student, run.rows.train, run.config.distillation, checkpoint_folder=run.artifact.checkpoints / "distill"
    )
    score = accuracy(student, optimizer.rows(run.rows.validation), tokenizer=optimizer.tokenizer)
    save_as(student, optimizer.tokenizer, run.artifact.checkpoints / "distilled")
    shutil.rmtree(run.artifact.checkpoints / "distill", ignore_errors=True)
    return {"validation_accuracy": score}


def _finetune(run: Run) -> dict[str, Any]:
    """Fine-tune the distilled student; keep whichever of the two is better on the development rows."""
    optimizer, artifact = run.optimizer, run.artifact
    distilled = (artifact.stage("distill") or {})["validation_accuracy"]
    student = _load(run, artifact.checkpoints / "distilled")
    arguments = student_arguments(artifact.checkpoints / "finetune", run.config.student_arguments)
    optimizer.finetune(
        student,
        train_dataset=run.rows.train,
        eval_dataset=run.rows.validation,
        args=arguments,
        agora=run.config.agora,
        callbacks=[ProgressCallback(optimizer.listener, "finetune")],
    )
    finetuned = accuracy(student, optimizer.rows(run.rows.validation), tokenizer=optimizer.tokenizer)
    kept = student if finetuned >= distilled else _load(run, artifact.checkpoints / "distilled")
    save_as(kept, optimizer.tokenizer, artifact.checkpoints / "student")
    shutil.rmtree(artifact.checkpoints / "finetune", ignore_errors=True)
    return {"validation_accuracy": finetuned, "kept": "finetuned" if kept is student else "distilled"}


def _export(run: Run) -> dict[str, Any]:
    optimizer, artifact = run.optimizer, run.artifact
    optimizer.listener.stage("export", 2)
    optimizer.export(_load(run, artifact.checkpoints / "student"), artifact.path, run.config.export)
    optimizer.listener.advance(1, "student")
    optimizer.export(optimizer.teacher, teacher_export(artifact), run.config.export)
    optimizer.listener.advance(2, "teacher")
    optimizer.listener.finish()
    return {}


def _benchmark(run: Run) -> dict[str, Any]:
    optimizer, artifact = run.optimizer, run.artifact
    optimizer.listener.stage("benchmark", None)
    content = compare(
        optimizer,
        _load(run, artifact.path),
        folders={"teacher": teacher_export(artifact), "student": artifact.path},
        validation=optimizer.rows(run.rows.validation),
        test=optimizer.rows(run.rows.test),
        config=run.config,
    )
    content |= _bound_check(run, content["default_file"])
    optimizer.listener.finish()
    write_atomic(artifact.benchmark, canonical_json(content))
    return {"examples": examples(artifact.path, content["default_file"], run.rows.test)}


def _bound_check(run: Run, default_file: str) -> dict[str, Any]:
    """The finished student's default file against `max_latency_ms`, measured at the setting of the search."""
    limit = run.config.search.max_latency_ms
    if limit is None:
        return {}
    measured = check_bound(
        run.artifact.path / default_file,
        _load(run, run.artifact.path),
        run.optimizer.tokenizer,
        max_latency_ms=limit,
        settings=run.config.search,
        predicted=read_json(run.artifact.search)["latency"],
    )
    found = {**measured, "file": default_file}
    if not found["kept"]:
        run.optimizer.listener.say(bound_sentence(found))
    return {"latency_bound": found}


def _report(run: Run) -> dict[str, Any]:
    write_report(run.artifact)
    return {}


def measure_again(run: Run) -> OSEArtifact:
    """Measure latency, throughput and memory again, on this machine; scores stay as they were judged.

    Raises:
        InvalidConfigError: if the run is not finished.
    """
    artifact = run_stages(run, only=("report",))
    _use_finished_teacher(run)
    content = read_json(artifact.benchmark)
    folders = {"teacher": teacher_export(artifact), "student": artifact.path}
    student = _load(run, artifact.path)
    content["latency"] = measure(run.optimizer, student, folders=folders, config=run.config, memory=True)
    content |= _bound_check(run, content["default_file"])
    write_atomic(artifact.benchmark, canonical_json(content))
    write_report(artifact)
    return artifact


_STAGES: Mapping[Stage, Callable[[Run], dict[str, Any]]] = {
    "teacher": _teacher,
    "extract": _extract,
    "distill": _distill,
    "finetune": _finetune,
    "export": _export,
    "benchmark": _benchmark,
    "report": _report,
}


def teacher_export(artifact: OSEArtifact) -> Path:
    """Where the teacher's own ONNX files lie, against which the student is measured."""
    return artifact.checkpoints / "teacher-onnx"


def _use_finished_teacher(run: Run) -> None:
    record = run.artifact.stage("teacher") or {}
    if record.get("finetuned_here"):
        run.optimizer.teacher = _load(run, run.artifact.teacher)
        run.optimizer.has_head = True


def _load(run: Run, folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = auto_class(run.optimizer.task).from_pretrained(folder, use_safetensors=True)
    model.eval()
    return model
