"""A tag for each word of a text."""

from optimum_ose.tasks.parts.task import Task
from optimum_ose.tasks.parts.token_labels import TOKEN_LABELS
from optimum_ose.tasks.parts.words import WORDS

TASK = Task(
    name="token-classification",
    auto_class_name="AutoModelForTokenClassification",
    heads=("ForTokenClassification",),
    inputs=WORDS,
    problem_of=lambda config: TOKEN_LABELS,
    has_labels=True,
)
"""Of lists of words."""
