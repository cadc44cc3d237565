"""The words that continue a text."""

from optimum_ose.tasks.parts.plain_texts import CONTINUED_TEXTS
from optimum_ose.tasks.parts.task import Task
from optimum_ose.tasks.parts.vocabulary import NEXT_TOKENS

TASK = Task(
    name="text-generation",
    auto_class_name="AutoModelForCausalLM",
    heads=("ForCausalLM", "LMHeadModel"),
    inputs=CONTINUED_TEXTS,
    problem_of=lambda config: NEXT_TOKENS,
    continues_texts=True,
)
"""Of plain text."""
