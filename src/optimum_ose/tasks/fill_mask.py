"""Words in place of the masks in a text."""

from optimum_ose.tasks.parts.plain_texts import MASKED_TEXTS
from optimum_ose.tasks.parts.task import Task
from optimum_ose.tasks.parts.vocabulary import MASKED_TOKENS

TASK = Task(
    name="fill-mask",
    auto_class_name="AutoModelForMaskedLM",
    heads=("ForMaskedLM", "ForPreTraining"),
    inputs=MASKED_TEXTS,
    problem_of=lambda config: MASKED_TOKENS,
)
"""Of plain text."""
