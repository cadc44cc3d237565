"""What each stage of a run does, and the record that it leaves."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from optimum_ose.artifact import OSEArtifact
from optimum_ose.data.targets import kind_of_rows
from optimum_ose.exceptions import OtherQuestionError
from optimum_ose.finetuning.trainer import takes_agora
from optimum_ose.optimizer.folders import save_as
from optimum_ose.optimizer.judging import judge_teacher
from optimum_ose.optimizer.latency import check_bound
from optimum_ose.optimizer.scored import Scored
from optimum_ose.optimizer.team import is_first_process, wait_for_all
from optimum_ose.optimizer.trainer_arguments import ProgressCallback, student_arguments, teacher_arguments
from optimum_ose.pipeline.dependencies import Stage, inputs_of, settings_of
from optimum_ose.pipeline.distilling import distill_until_kept, distill_winner, distilled_score
from optimum_ose.pipeline.evaluation import compare
from optimum_ose.pipeline.run import Run, load_model, winner
from optimum_ose.pipeline.sample_answers import sample_answers
from optimum_ose.pipeline.searching import search, search_record
from optimum_ose.records import read_search
from optimum_ose.report.keep_text import keep_sentence
from optimum_ose.report.latency_text import bound_sentence
from optimum_ose.report.writing import write_report
from optimum_ose.serialization import canonical_json, digest, write_atomic

_MARK = ".settings"
"""Beside the checkpoints of a training: a digest of the settings and inputs that they answer."""


def _teacher(run: Run) -> dict[str, Any]:
    optimizer = run.optimizer
    _tell_lengths(run)
    if optimizer.has_head:
        return {"finetuned_here": False, **judge_teacher(optimizer, run.rows.validation)}
    optimizer.listener.say("the model has no head for this task: it is fine-tuned first and kept as the teacher")
    found = optimizer.finetune_teacher(
        run.rows.train,
        run.rows.validation,
        teacher_arguments(
            _checkpoints(run, "teacher"),
            optimizer.teacher.config,
            run.config.teacher_arguments,
            num_rows=len(run.rows.train),
            are_sets="label" in run.rows.train.column_names and kind_of_rows(run.rows.train) == "classes",
        ),
        callbacks=[ProgressCallback(optimizer.listener, "teacher")],
    )
    shutil.rmtree(run.artifact.checkpoints / "teacher", ignore_errors=True)
    judged = judge_teacher(optimizer, run.rows.validation)
    save_as(optimizer.teacher, optimizer.tokenizer, run.artifact.teacher, max_length=optimizer.saved_length)
    return {"finetuned_here": True, "validation": found, **judged}


def _tell_lengths(run: Run) -> None:
    """Say for each split how many rows are cut."""
    for name in ("train", "validation", "test"):
        run.optimizer.rows(getattr(run.rows, name), name=name)


def _extract(run: Run) -> dict[str, Any]:
    optimizer, config = run.optimizer, run.config.search
    try:
        found = search(run, config)
    except OtherQuestionError as error:
        if run.artifact.request.get("search_from") is not None and config.trains_candidates:
            raise  # else the journal is a copy: other weights are measured anew
        wait_for_all()
        if is_first_process():
            _set_journal_aside(run, error)
        wait_for_all()
        found = search(run, config)
    content = search_record(optimizer, found)
    if is_first_process():
        if not config.trains_candidates:
            student = optimizer.initialize(found.result)
            save_as(student, optimizer.tokenizer, run.artifact.extracted, max_length=optimizer.saved_length)
        write_atomic(run.artifact.search, canonical_json(content))
    return {"num_evaluations": found.result.certificate.num_evaluations}


def _distill(run: Run) -> dict[str, Any]:
    optimizer, artifact = run.optimizer, run.artifact
    folder = _checkpoints(run, "distill")
    artifact.choice.unlink(missing_ok=True)
    if "keep" in read_search(artifact.search):
        student, found = distill_until_kept(run, folder)
    elif not run.config.search.trains_candidates:
        student, found = distill_winner(run, winner(artifact), load_model(run, artifact.extracted), folder)
    else:
        student, found = _distill_inherited(run, folder)
    save_as(student, optimizer.tokenizer, artifact.checkpoints / "distilled", max_length=optimizer.saved_length)
    shutil.rmtree(artifact.checkpoints / "distill", ignore_errors=True)
    return found


def _distill_inherited(run: Run, folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The winner of a search by short trainings; of tasks without labels whatever is better before and after."""
    optimizer = run.optimizer
    student = optimizer.initialize(
        winner(run.artifact), calibration_dataset=run.rows.train, layer_selection=run.config.search.layer_selection
    )
    inherited = Scored.now(optimizer, student, run.rows.validation) if optimizer.problem.judge is not None else None
    score = distilled_score(run, student, folder)
    found: dict[str, Any] = {"validation_score": score, "metric": optimizer.metric_name(run.rows.validation)}
    return student, found if inherited is None else found | inherited.better(optimizer, student, score)


def _finetune(run: Run) -> dict[str, Any]:
    """Fine-tune the distilled student; keep whichever of the two is better on the development rows."""
    optimizer, artifact = run.optimizer, run.artifact
    distilled = (artifact.stage("distill") or {})["validation_score"]
    if optimizer.problem.judge is not None:
        return _not_finetuned(run)
    agora = run.config.agora if takes_agora(optimizer.task, optimizer.teacher.config) else None
    student = load_model(run, artifact.checkpoints / "distilled")
    arguments = student_arguments(_checkpoints(run, "finetune"), run.config.student_arguments)
    optimizer.finetune(
        student,
        train_dataset=run.rows.train,
        eval_dataset=run.rows.validation,
        test_dataset=run.rows.test,
        args=arguments,
        agora=None if agora is None else replace(agora, report_test=False),
        callbacks=[ProgressCallback(optimizer.listener, "finetune")],
    )
    finetuned = optimizer.score(student, run.rows.validation)
    kept = student if finetuned >= distilled else load_model(run, artifact.checkpoints / "distilled")
    save_as(kept, optimizer.tokenizer, artifact.checkpoints / "student", max_length=optimizer.saved_length)
    shutil.rmtree(artifact.checkpoints / "finetune", ignore_errors=True)
    left_out = {"agora": False} if agora is None and run.config.agora is not None else {}
    return {"validation_score": finetuned, "kept": "finetuned" if kept is student else "distilled", **left_out}


def _not_finetuned(run: Run) -> dict[str, Any]:
    """The distilled student of a task without labels is the student."""
    folder = run.artifact.checkpoints
    kept = load_model(run, folder / "distilled")
    save_as(kept, run.optimizer.tokenizer, folder / "student", max_length=run.optimizer.saved_length)
    return {"kept": "distilled", "left_out": "the task has no labels to be fine-tuned on"}


def _export(run: Run) -> dict[str, Any]:
    optimizer, artifact = run.optimizer, run.artifact
    optimizer.listener.stage("export", 2)
    student, rows = load_model(run, artifact.checkpoints / "student"), run.rows.train
    optimizer.export(student, artifact.path, run.config.export, calibration_dataset=rows)
    optimizer.listener.advance(1, "student")
    optimizer.export(optimizer.teacher, teacher_export(artifact), run.config.export, calibration_dataset=rows)
    optimizer.listener.advance(2, "teacher")
    optimizer.listener.finish()
    return {}


def _benchmark(run: Run) -> dict[str, Any]:
    optimizer, artifact = run.optimizer, run.artifact
    optimizer.listener.stage("benchmark", None)
    content = compare(
        optimizer,
        load_model(run, artifact.path),
        folders={"teacher": teacher_export(artifact), "student": artifact.path},
        validation=run.rows.validation,
        test=run.rows.test,
        config=run.config,
        further=run.rows.further,
        keep=(run.config.search.keep or 0.0) if "keep" in read_search(artifact.chosen) else 0.0,
        teacher_score=(artifact.stage("teacher") or {}).get("validation_score", 0.0),
    )
    content |= bound_check(run, content["default_file"])
    if "keep" in content:
        optimizer.listener.say(keep_sentence(content["keep"]))
    optimizer.listener.finish()
    write_atomic(artifact.benchmark, canonical_json(content))
    return {"examples": sample_answers(artifact.path, content["default_file"], run.rows.test, task=optimizer.task)}


def bound_check(run: Run, default_file: str) -> dict[str, Any]:
    """The finished student's default file against `max_latency_ms`, measured at the setting of the search."""
    limit = run.config.search.max_latency_ms
    if limit is None:
        return {}
    measured = check_bound(
        run.artifact.path / default_file,
        load_model(run, run.artifact.path),
        run.optimizer.text_tokenizer,
        max_latency_ms=limit,
        settings=run.config.search,
        predicted=read_search(run.artifact.chosen)["latency"],
    )
    found = {**measured, "file": default_file}
    if not found["kept"]:
        run.optimizer.listener.say(bound_sentence(found))
    return {"latency_bound": found}


def _report(run: Run) -> dict[str, Any]:
    write_report(run.artifact)
    return {}


def _checkpoints(run: Run, stage: Stage) -> Path:
    """Where a training keeps its state; a state of other settings or inputs is removed, and that is said."""
    artifact = run.artifact
    asked = {**artifact.question, "request": artifact.request}
    settings = settings_of(stage, asked, has_head=False)
    wanted = digest({"settings": settings, "inputs": inputs_of(stage, artifact)})
    folder = artifact.checkpoints / stage
    mark = folder / _MARK
    if folder.is_dir() and not (mark.is_file() and mark.read_text(encoding="utf-8") == wanted):
        run.optimizer.listener.say(f"stage {stage} begins anew: its unfinished training had other settings")
        shutil.rmtree(folder)
    write_atomic(mark, wanted)
    return folder


def _set_journal_aside(run: Run, error: OtherQuestionError) -> None:
    """Rename the journal of an unfinished search with other settings; that of these settings, if one was, returns."""
    journal = run.artifact.journal
    with journal.open("rb") as stream:
        found = hashlib.sha256(stream.readline()).hexdigest()[:8]
    aside = journal.with_name(f"journal-{found}.jsonl")
    run.optimizer.listener.say(f"stage extract begins anew ({error.actual}); what was trained is kept in {aside.name}")
    journal.replace(aside)


def teacher_export(artifact: OSEArtifact) -> Path:
    """Where the teacher's own ONNX files lie, against which the student is measured."""
    return artifact.checkpoints / "teacher-onnx"


def use_finished_teacher(run: Run) -> None:
    """Let a teacher that this run has fine-tuned stand in for the one that came without a head."""
    record = run.artifact.stage("teacher") or {}
    if record.get("finetuned_here"):
        run.optimizer.teacher = load_model(run, run.artifact.teacher)
        run.optimizer.has_head = True


STAGE_FUNCTIONS: Mapping[Stage, Callable[[Run], dict[str, Any]]] = {
    "teacher": _teacher,
    "extract": _extract,
    "distill": _distill,
    "finetune": _finetune,
    "export": _export,
    "benchmark": _benchmark,
    "report": _report,
}
"""By name."""
