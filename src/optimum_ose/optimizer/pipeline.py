"""The stages of a run, each finished once: what an earlier run has finished is read from the folder, not done again."""

import time

from optimum_ose.artifact import OSEArtifact
from optimum_ose.exceptions import InvalidConfigError, ProcessError
from optimum_ose.optimizer.evaluation import measure
from optimum_ose.optimizer.run import Run
from optimum_ose.optimizer.stages import (
    STAGE_FUNCTIONS,
    STAGES,
    Stage,
    bound_check,
    load_model,
    teacher_export,
    use_finished_teacher,
)
from optimum_ose.optimizer.team import is_first_process, num_processes, wait_for_all
from optimum_ose.report.writing import write_report
from optimum_ose.serialization import canonical_json, read_json, write_atomic


def run_stages(run: Run, *, only: tuple[Stage, ...] = STAGES) -> OSEArtifact:
    """Do the stages that are not finished yet.

    Args:
        run: optimizer, folder, data and settings.
        only: stages to do; an earlier one must be finished.

    Raises:
        InvalidConfigError: if a stage before the first of `only` is not finished.
        ProcessError: if several processes were launched for what only one does.
    """
    _require_one_process(run, only)
    for stage in STAGES[: STAGES.index(only[0])]:
        if run.artifact.stage(stage) is None:
            raise InvalidConfigError(
                f"Stage {only[0]!r} needs the stage {stage!r} to be finished in {run.artifact.path}",
                "it is not",
                f"Run `optimum-cli ose {'extract' if stage == 'teacher' else stage}` first, or `run` for all stages",
            )
    if "teacher" not in only:
        use_finished_teacher(run)
    for stage in only:
        record = run.artifact.stage(stage)
        wait_for_all()
        if record is None:
            start = time.perf_counter()
            found = STAGE_FUNCTIONS[stage](run)
            if is_first_process():
                run.artifact.finish_stage(stage, {**found, "seconds": round(time.perf_counter() - start, 1)})
        elif stage == "teacher":
            use_finished_teacher(run)
        wait_for_all()
    return run.artifact


def measure_again(run: Run) -> OSEArtifact:
    """Measure latency, throughput and memory again, on this machine; scores stay as they were judged.

    Raises:
        InvalidConfigError: if the run is not finished.
    """
    artifact = run_stages(run, only=("report",))
    use_finished_teacher(run)
    content = read_json(artifact.benchmark)
    folders = {"teacher": teacher_export(artifact), "student": artifact.path}
    student = load_model(run, artifact.path)
    content["latency"] = measure(run.optimizer, student, folders=folders, config=run.config, memory=True)
    content |= bound_check(run, content["default_file"])
    write_atomic(artifact.benchmark, canonical_json(content))
    write_report(artifact)
    return artifact


def _require_one_process(run: Run, only: tuple[Stage, ...]) -> None:
    """Refuse a launch of several processes where they would not share the work."""
    trains_teacher = "teacher" in only and not run.optimizer.has_head and run.artifact.stage("teacher") is None
    if num_processes() > 1 and (trains_teacher or not set(only) <= {"teacher", "extract"}):
        raise ProcessError(
            "Several processes share `extract`, for a teacher whose head is trained",
            f"{num_processes()} processes were asked for {', '.join(only)}"
            + (", and the teacher is to be fine-tuned first" if trains_teacher else ""),
            "Launch `optimum_ose extract` with several processes, and everything else with one",
        )
