"""The span of a context that answers a question."""

from optimum_ose.tasks.parts.task import Task

TASK = Task(name="question-answering", auto_class_name="AutoModelForQuestionAnswering", heads=())
"""Search spaces only, so far."""
