"""A class, a set of classes or a number for an image."""

from optimum_ose.tasks.parts.by_problem_type import problem_by_type
from optimum_ose.tasks.parts.images import IMAGES
from optimum_ose.tasks.parts.task import Task

TASK = Task(
    name="image-classification",
    auto_class_name="AutoModelForImageClassification",
    heads=("ForImageClassification",),
    inputs=IMAGES,
    problem_of=problem_by_type,
    has_labels=True,
)
"""Of images."""
