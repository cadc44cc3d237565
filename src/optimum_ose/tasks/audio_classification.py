"""A class, a set of classes or a number for a sound."""

from optimum_ose.tasks.parts.by_problem_type import problem_by_type
from optimum_ose.tasks.parts.sounds import SOUNDS
from optimum_ose.tasks.parts.task import Task

TASK = Task(
    name="audio-classification",
    auto_class_name="AutoModelForAudioClassification",
    heads=("ForSequenceClassification", "ForAudioClassification"),
    inputs=SOUNDS,
    problem_of=problem_by_type,
    has_labels=True,
)
"""Of sounds."""
