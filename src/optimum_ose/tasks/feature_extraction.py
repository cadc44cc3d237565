"""A vector for each token of a text; averaged, one for the text."""

from optimum_ose.tasks.parts.representation import REPRESENTATION
from optimum_ose.tasks.parts.task import Task
from optimum_ose.tasks.parts.texts import TEXTS

TASK = Task(
    name="feature-extraction",
    auto_class_name="AutoModel",
    heads=("",),
    inputs=TEXTS,
    problem_of=lambda config: REPRESENTATION,
)
"""Of plain text, by models without a head."""
