"""The right one of several choices for a question."""

from optimum_ose.tasks.parts.choice import CHOICE
from optimum_ose.tasks.parts.choices import CHOICE_ROWS
from optimum_ose.tasks.parts.task import Task

TASK = Task(
    name="multiple-choice",
    auto_class_name="AutoModelForMultipleChoice",
    heads=("ForMultipleChoice",),
    inputs=CHOICE_ROWS,
    problem_of=lambda config: CHOICE,
    has_labels=True,
)
"""Of questions with choices."""
