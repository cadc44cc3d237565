"""A class, a set of classes or a number for a text or a pair of texts."""

from optimum_ose.tasks.parts.by_problem_type import problem_by_type, require_sound_head
from optimum_ose.tasks.parts.task import Task
from optimum_ose.tasks.parts.texts import TEXTS

TASK = Task(
    name="text-classification",
    auto_class_name="AutoModelForSequenceClassification",
    heads=("ForSequenceClassification",),
    inputs=TEXTS,
    problem_of=problem_by_type,
    has_labels=True,
    has_problem_type=True,
    require_sound_head=require_sound_head,
)
"""Of texts and pairs of texts."""
