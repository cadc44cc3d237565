"""The span of a context that answers a question."""

from optimum_ose.tasks.parts.questions import QUESTIONS
from optimum_ose.tasks.parts.spans import SPANS
from optimum_ose.tasks.parts.task import Task

TASK = Task(
    name="question-answering",
    auto_class_name="AutoModelForQuestionAnswering",
    heads=("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
    inputs=QUESTIONS,
    problem_of=lambda config: SPANS,
    has_labels=True,
)
"""Of questions and contexts."""
