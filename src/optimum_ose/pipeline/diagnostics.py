"""Scores a finished student on rows of a benchmark that it was not trained for, such as GLUE's diagnostic set."""

from typing import Any

from datasets import Dataset

from optimum_ose.artifact import OSEArtifact
from optimum_ose.data.benchmark_tasks import named_benchmark_task
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.optimizer.served import served_answers
from optimum_ose.output_folder import writing
from optimum_ose.pipeline.dependencies import Stage, files_of, inputs_of
from optimum_ose.pipeline.evaluation import FORMATS
from optimum_ose.pipeline.stages import teacher_export
from optimum_ose.records import read_benchmark
from optimum_ose.report.writing import write_report
from optimum_ose.serialization import canonical_json, write_atomic
from optimum_ose.serving.graphs import main_file
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.texts import TEXTS

_CHANGED: tuple[Stage, ...] = ("benchmark", "report")
"""Stages whose files are written again."""


def score_diagnostic(artifact: OSEArtifact, name: str, rows: Dataset) -> dict[str, Any]:
    """What student and teacher of a finished folder score on labeled rows, as they are served; it is kept in
    `benchmark.json`, and the report is written again.

    Args:
        artifact: of a finished run.
        name: of the benchmark's task, such as "glue/ax".
        rows: raw rows with `label`.

    Returns:
        What `benchmark.json` holds then.

    Raises:
        InvalidConfigError: if the student's rows are no texts with a label, or the run was for another benchmark's task
            than the one that teaches this.
        InvalidDataError: if the rows' classes are not the student's.
        OutputFolderError: if the run is not finished.
    """
    task = str(artifact.question["task"])
    if task_named(task).inputs is not TEXTS:
        raise InvalidConfigError(
            "Only students of texts with a label are scored on a benchmark's rows",
            f"that of {artifact.path} is of {task}",
            "Leave out --benchmark-task and --dataset",
        )
    content = read_benchmark(artifact.benchmark)
    wanted, trained = named_benchmark_task(name).trains_on or name, content.get("benchmark_task")
    if trained not in (None, wanted):
        raise InvalidConfigError(
            f"The student that is scored on {name} must be one of {wanted}",
            f"that of {artifact.path} is one of {trained}",
            f"Give a folder of `ose run --benchmark-task {wanted}`",
        )
    folders = {"teacher": teacher_export(artifact), "student": artifact.path}
    scores = {
        role: {
            label: served_answers(
                folder, rows, task=task, file_name=main_file(folder, ending), benchmark_task=name
            ).scores()
            for label, ending in FORMATS.items()
            if (folder / main_file(folder, ending)).is_file()
        }
        for role, folder in folders.items()
        if folder.is_dir()
    }
    found = {"scores": {"teacher": {}, **scores}, "num_rows": len(rows)}
    content["diagnostic_scores"] = {**content.get("diagnostic_scores", {}), name: found}
    with writing(artifact.path):
        write_atomic(artifact.benchmark, canonical_json(content))
        write_report(artifact)
    for stage in _CHANGED:
        kept = {"inputs": inputs_of(stage, artifact), "files": files_of(stage, artifact.path)}
        artifact.finish_stage(stage, artifact.stage(stage) or {}, dependencies={**artifact.dependencies(stage), **kept})
    return content
