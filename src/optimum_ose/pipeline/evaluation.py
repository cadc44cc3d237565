"""Judges teacher and student side by side: scores in every format, sizes, operations and latency, in one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.configuration import OSEConfig
from optimum_ose.data.benchmark_tasks import named_benchmark_task
from optimum_ose.export.benchmark import benchmark_formats
from optimum_ose.export.example_inputs import described_input, frames_of
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.optimizer.served import proven_share, require_same_score
from optimum_ose.optimizer.verbs import Verbs
from optimum_ose.preprocessing import SOUND, WRITTEN, num_answers, row_lengths
from optimum_ose.serving.graphs import FULL, INT8, main_file
from optimum_ose.tasks.parts.served_answers import ServedAnswers

FORMATS: Mapping[str, str] = {"onnx-fp32": FULL, "onnx-int8": INT8}
"""Format -> the ending of its file's name; see `serving.graphs`."""
CONFIDENCE = 0.95
"""With which it is said what is kept on all rows like the test rows."""
_SHARE_OF_ROWS = 0.95
"""Latency is measured at the length that so many of the test rows do not exceed."""


def compare(
    optimizer: Verbs,
    student: PreTrainedModel,
    *,
    folders: Mapping[str, Path],
    validation: Dataset,
    test: Dataset,
    config: OSEConfig,
    further: Dataset | None = None,
    keep: float = 0.0,
    teacher_score: float = 0.0,
) -> dict[str, Any]:
    """Everything that `benchmark.json` holds.

    Args:
        optimizer: with the teacher.
        student: the finished student.
        folders: of "teacher" and "student", each with its ONNX files.
        validation: raw rows that decide which file is the default.
        test: raw rows that judge; used here and nowhere else.
        config: of the run.
        further: raw rows of a benchmark's second development split.
        keep: share of the teacher's score that was asked for; 0: none. The int8 file is no default if it loses that.
        teacher_score: on the development rows.

    Raises:
        ExportError: if a served folder does not score what its model scores.
    """
    models = {"teacher": optimizer.teacher, "student": student}
    metric = optimizer.metric_name(test)
    answers = {name: _answers(optimizer, folders[name], test) for name in models}
    scores = {name: _all_scores(optimizer, model, folders[name], test, answers[name]) for name, model in models.items()}
    steering = {
        label: optimizer.served_scores(
            folders["student"], validation, file_name=main_file(folders["student"], FORMATS[label])
        )[metric]
        for label in scores["student"]
        if label in FORMATS
    }
    latency = measure(optimizer, student, folders=folders, test=optimizer.rows(test), config=config)
    default, reason = _default_format(steering, latency, config, least_score=keep * teacher_score)
    content = {
        "metric": metric,
        "scores": scores,
        "num_test_rows": len(test),
        "validation_score": steering,
        "sizes": {name: _size(model, optimizer.task, config.search.sequence_length) for name, model in models.items()},
        "latency": latency,
        **_of_benchmark(optimizer, models, folders, further),
        "default_file": main_file(folders["student"], FORMATS[default]),
        "default_reason": reason,
        "label_names": _label_names(student) if optimizer.problem.judge is None else [],
    }
    if not keep:
        return content
    proven = None
    if default in answers["student"]:
        proven = proven_share(answers["student"][default], answers["teacher"]["onnx-fp32"], alpha=1 - CONFIDENCE)
    found = share_kept(
        content,
        folders["student"],
        keep=keep,
        teacher_score=teacher_score,
        num_validation_rows=len(validation),
        proven=proven,
    )
    return {**content, "keep": found}


def share_kept(
    content: Mapping[str, Any],
    folder: Path,
    *,
    keep: float,
    teacher_score: float,
    num_validation_rows: int,
    proven: float | None = None,
) -> dict[str, Any]:
    """The share of the teacher's score that the file keeps which is served by default.

    Args:
        content: as `compare` gives it.
        folder: of the student.
        keep: share that was asked for.
        teacher_score: on the development rows.
        num_validation_rows: these.
        proven: share on all rows like the test rows, with probability `CONFIDENCE`; None: nothing can be said.
    """
    files = {main_file(folder, ending): label for label, ending in FORMATS.items()}
    label, metric = files[content["default_file"]], content["metric"]
    scores, judged = content["scores"], content["scores"]["teacher"]["pytorch-fp32"][content["metric"]]
    share = content["validation_score"][label] / teacher_score
    return {
        "keep": keep,
        "file": content["default_file"],
        "metric": metric,
        "validation_share": share,
        "num_validation_rows": num_validation_rows,
        "test_share": scores["student"][label][metric] / judged if judged > 0 else None,
        "num_test_rows": content["num_test_rows"],
        "proven_share": proven,
        "confidence": CONFIDENCE,
        "kept": share >= keep,
    }


def _answers(optimizer: Verbs, folder: Path, rows: Dataset) -> dict[str, ServedAnswers]:
    """What each of a folder's files answers, by format; nothing of tasks without labels."""
    if optimizer.problem.judge is not None:
        return {}
    files = {label: main_file(folder, ending) for label, ending in FORMATS.items()}
    return {
        label: optimizer.served_answers(folder, rows, file_name=file)
        for label, file in files.items()
        if (folder / file).is_file()
    }


def _all_scores(
    optimizer: Verbs, model: PreTrainedModel, folder: Path, rows: Dataset, answers: Mapping[str, ServedAnswers]
) -> dict[str, dict[str, float]]:
    """Scores of a model in memory and of each of its files, by format; `answers` of files are not asked again."""
    scores = {"pytorch-fp32": optimizer.scores(model, rows)}
    for label, ending in FORMATS.items():
        file = main_file(folder, ending)
        if (folder / file).is_file():
            known = answers.get(label)
            scores[label] = known.scores() if known else optimizer.served_scores(folder, rows, file_name=file)
            if label == "onnx-fp32":
                computed = scores["pytorch-fp32"]
                require_same_score(scores[label], computed, metric=optimizer.metric_name(rows), num_rows=len(rows))
    return scores


def _of_benchmark(
    optimizer: Verbs, models: Mapping[str, PreTrainedModel], folders: Mapping[str, Path], further: Dataset | None
) -> dict[str, Any]:
    """The name of the benchmark's task, and scores on its second development split; nothing of other runs."""
    if optimizer.benchmark_task is None:
        return {}
    found: dict[str, Any] = {"benchmark_task": optimizer.benchmark_task}
    if further is not None:
        name = str(named_benchmark_task(optimizer.benchmark_task).further)
        scores = {role: _all_scores(optimizer, model, folders[role], further, {}) for role, model in models.items()}
        found["further_scores"] = {name: {"scores": scores, "num_rows": len(further)}}
    return found


def _label_names(model: PreTrainedModel) -> list[str]:
    return [str(name) for _, name in sorted((model.config.id2label or {}).items())]


def measure(
    optimizer: Verbs,
    student: PreTrainedModel,
    *,
    folders: Mapping[str, Path],
    test: Dataset,
    config: OSEConfig,
    memory: bool = False,
) -> dict[str, Any]:
    """Latency, throughput, size and, if wanted, memory of every format of both models.

    One thread, batch 1, and the length that 95% of the test rows do not exceed: `share_of_rows` tells so.
    """
    has_lengths = optimizer.text_tokenizer is not None or SOUND in test.column_names
    length = served_length(test) if has_lengths else config.search.sequence_length
    if SOUND in test.column_names:
        length = frames_of(student, length)
    found = benchmark_formats(
        optimizer.teacher,
        student,
        tokenizer=optimizer.text_tokenizer,
        teacher_folder=folders["teacher"],
        student_folder=folders["student"],
        num_threads=1,
        sequence_length=length,
        num_written=None if WRITTEN not in test.column_names else int(np.quantile(num_answers(test), _SHARE_OF_ROWS)),
        block_seconds=config.export.block_seconds,
        memory=memory,
    )
    return {**found, "share_of_rows": _SHARE_OF_ROWS} if has_lengths and found["sequence_length"] == length else found


def served_length(rows: Dataset) -> int:
    """Tokens or samples that 95% of the rows do not exceed."""
    return int(np.quantile(row_lengths(rows), _SHARE_OF_ROWS, method="higher"))


def _size(model: PreTrainedModel, task: str, sequence_length: int) -> dict[str, Any]:
    space = derive_search_space(model.config, task=task)
    own = [space.maximum_point]
    return {
        "architecture": dict(space.maximum_point),
        "parameters": int(space.parameter_size(own)[0]),
        "parameters_without_embeddings": int(space.parameter_size(own, count_embeddings=False)[0]),
        "multiply_adds": int(space.multiply_adds(own, sequence_length=sequence_length)[0]),
        "sequence_length": sequence_length,
        **described_input(model),
    }


def _default_format(
    steering: Mapping[str, float], latency: Mapping[str, Any], config: OSEConfig, *, least_score: float
) -> tuple[str, str]:
    """The int8 file, unless it loses more than the limit on the development rows, or what was to be kept there, or is
    slower here.
    """
    if "onnx-int8" not in steering:
        return "onnx-fp32", "there is no int8 file"
    loss = 1 - steering["onnx-int8"] / steering["onnx-fp32"] if steering["onnx-fp32"] else 0.0
    if loss > config.export.max_score_loss:
        return (
            "onnx-fp32",
            f"int8 loses {loss:.1%} of the score on the development rows, more than {config.export.max_score_loss:.1%}",
        )
    if steering["onnx-int8"] < least_score <= steering["onnx-fp32"]:
        return "onnx-fp32", f"int8 loses the share of the teacher's score that was to be kept ({loss:.1%} less)"
    times = {row["format"]: row["cpu_ms"] for row in latency["results"] if row["model"] == "student"}
    if times["onnx-int8"] >= times["onnx-fp32"]:
        return "onnx-fp32", "int8 is not faster than fp32 on this machine"
    return "onnx-int8", f"int8 keeps {1 - loss:.1%} of the score and is faster on this machine"
