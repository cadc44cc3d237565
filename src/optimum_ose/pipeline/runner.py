"""The stages of a run, each finished once: what an earlier run has finished is read from the folder, not done again."""

import time
from collections.abc import Mapping
from typing import Any

from optimum_ose.artifact import OSEArtifact
from optimum_ose.distillation.local_process import num_processes
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError, ProcessError
from optimum_ose.optimizer.team import is_first_process, wait_for_all
from optimum_ose.output_folder import writing
from optimum_ose.pipeline.dependencies import (
    STAGES,
    Stage,
    changed_input,
    files_of,
    inputs_of,
    settings_of,
    stages_to_do,
)
from optimum_ose.pipeline.evaluation import measure
from optimum_ose.pipeline.preflight import check_labeler_of, preflight
from optimum_ose.pipeline.run import Run, load_model
from optimum_ose.pipeline.stages import (
    STAGE_FUNCTIONS,
    bound_check,
    teacher_export,
    use_finished_teacher,
)
from optimum_ose.progress import working
from optimum_ose.records import read_benchmark
from optimum_ose.report.writing import write_report
from optimum_ose.serialization import canonical_json, write_atomic


def run_stages(run: Run, *, only: tuple[Stage, ...] = STAGES) -> OSEArtifact:
    """Do the stages that are not finished yet.

    Args:
        run: optimizer, folder, data and settings.
        only: stages to do; an earlier one must be finished.

    Raises:
        InvalidConfigError: if a stage before the first of `only` is not finished.
        ProcessError: if several processes were launched for what only one does.
    """
    to_do = stages_to_do(run.artifact)
    _require_one_process(run, only, to_do)
    _require_finished(run.artifact, STAGES[: STAGES.index(only[0])], only[0], to_do)
    if "teacher" not in only or "teacher" not in to_do:
        use_finished_teacher(run)
    if {"teacher", "finetune"} & set(only):
        preflight(run)
    wait_for_all()
    for stage in only:
        reason = to_do.get(stage) or changed_input(stage, run.artifact)
        wait_for_all()
        if reason is not None:
            _do(run, stage, reason)
            if stage == "teacher" and "finetune" in to_do:
                check_labeler_of(run)
        wait_for_all()
    return run.artifact


def _do(run: Run, stage: Stage, reason: str) -> None:
    """Do one stage, and remember that it is finished."""
    if run.artifact.stage(stage) is not None:
        run.optimizer.listener.say(f"stage {stage} is done again: {reason}")
    start = time.perf_counter()
    with writing(run.artifact.path), working(run.optimizer.listener, stage, None):
        record = STAGE_FUNCTIONS[stage](run)
    if is_first_process():
        finish(run, stage, {**record, "seconds": round(time.perf_counter() - start, 1)})


def finish(run: Run, stage: Stage, record: Mapping[str, Any]) -> None:
    """Remember that a stage is finished, with what it depends on and what it has left."""
    artifact = run.artifact
    has_head = stage == "teacher" and not record.get("finetuned_here", True)
    kept = {
        "settings": settings_of(stage, {**artifact.question, "request": artifact.request}, has_head=has_head),
        "inputs": inputs_of(stage, artifact),
        "files": files_of(stage, artifact.path),
    }
    artifact.finish_stage(stage, record, dependencies=kept)


def measure_again(run: Run) -> OSEArtifact:
    """Measure latency, throughput and memory again, on this machine; scores stay as they were judged.

    Raises:
        InvalidConfigError: if the run is not finished.
    """
    artifact = run_stages(run, only=("report",))
    use_finished_teacher(run)
    content = read_benchmark(artifact.benchmark)
    folders = {"teacher": teacher_export(artifact), "student": artifact.path}
    student = load_model(run, artifact.path)
    test = run.optimizer.rows(run.rows.test)
    content["latency"] = measure(run.optimizer, student, folders=folders, test=test, config=run.config, memory=True)
    content |= bound_check(run, content["default_file"])
    with writing(artifact.path):
        write_atomic(artifact.benchmark, canonical_json(content))
        write_report(artifact)
    for stage in ("benchmark", "report"):
        finish(run, stage, artifact.stage(stage) or {})
    return artifact


def _require_finished(
    artifact: OSEArtifact, earlier: tuple[Stage, ...], stage: Stage, to_do: Mapping[Stage, str]
) -> None:
    for name in earlier:
        if name not in to_do:
            continue
        if artifact.stage(name) is not None:
            raise OutputFolderError(
                f"{artifact.path} must hold the files that its finished stages wrote",
                f"stage {name!r}: {to_do[name]}",
                "Run `optimum-cli ose run` with the arguments of this folder: they are made again",
            )
        raise InvalidConfigError(
            f"Stage {stage!r} needs the stage {name!r} to be finished in {artifact.path}",
            to_do[name],
            f"Run `optimum-cli ose {'extract' if name == 'teacher' else name}` first, or `run` for all stages",
        )


def _require_one_process(run: Run, only: tuple[Stage, ...], to_do: Mapping[Stage, str]) -> None:
    """Refuse a launch of several processes where they would not share the work."""
    trains_teacher = "teacher" in only and not run.optimizer.has_head and "teacher" in to_do
    if num_processes() > 1 and (trains_teacher or not set(only) <= {"teacher", "extract"}):
        raise ProcessError(
            "Several processes share `extract`, for a teacher whose head is trained",
            f"{num_processes()} processes were asked for {', '.join(only)}"
            + (", and the teacher is to be fine-tuned first" if trains_teacher else ""),
            "Launch `optimum_ose extract` with several processes, and everything else with one",
        )
