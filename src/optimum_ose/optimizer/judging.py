"""Judges a teacher on labeled rows beside the trivial answer."""

from typing import Any

from datasets import Dataset

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.finetuning.trivial import required_score
from optimum_ose.optimizer.teacher_task import TeacherTask

MIN_ROWS = 20
"""Validation rows without which a teacher's score cannot be told from chance: it is said, and refused for nothing."""


def judge_teacher(task: TeacherTask, validation: Dataset) -> dict[str, Any]:
    """What a teacher and the best constant answer score on validation rows; it is said.

    Returns:
        `metric`, `validation_score`, `trivial_score` (by that metric), and `trivial_answer`, in words; the first two
        where nothing has labels.

    Raises:
        InvalidDataError: if the teacher is not better than the constant answer by more than chance, on `MIN_ROWS` rows
            or more.
    """
    if task.problem.judge is not None:
        return _judge_without_labels(task, validation)
    metric = task.metric
    score = task.scores(task.teacher, validation)[metric.name]
    trivial = metric.trivial_score(task.references(validation))
    constant = metric.trivial_answer
    task.listener.say(
        f"teacher on {len(validation):,} validation rows: {metric.name} {score:.4f}; {constant}: {trivial:.4f}"
    )
    if len(validation) >= MIN_ROWS and not score > required_score(trivial, len(validation)):
        raise InvalidDataError(
            "The teacher must be better than a constant answer, by more than chance",
            f"on {len(validation):,} validation rows it has {metric.name} {score:.4f}; {constant} has {trivial:.4f}",
            "Check that labels and texts belong together and that the head's classes are those of the data; for a "
            "teacher fine-tuned here try more rows, more epochs or another learning_rate (teacher_arguments)",
        )
    return {"metric": metric.name, "validation_score": score, "trivial_score": trivial, "trivial_answer": constant}


def _judge_without_labels(task: TeacherTask, validation: Dataset) -> dict[str, Any]:
    metric = task.metric_name(validation)
    scores = task.scores(task.teacher, validation)
    told = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
    task.listener.say(f"teacher on {len(validation):,} validation rows: {told}")
    if len(validation) >= MIN_ROWS and not scores[metric] > 0:
        raise InvalidDataError(
            "The teacher must be better than chance on the validation rows",
            f"on {len(validation):,} of them it has {metric} {scores[metric]:.4f}",
            "Check that the columns are the right ones, and that the teacher is trained for this task",
        )
    return {"metric": metric, "validation_score": scores[metric]}
