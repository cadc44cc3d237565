"""The text that is written of a text: a translation, a summary, an answer."""

from optimum_ose.tasks.parts.sources import SOURCES
from optimum_ose.tasks.parts.task import Task
from optimum_ose.tasks.parts.writers import settle_writer
from optimum_ose.tasks.parts.written import WRITTEN_TOKENS

TASK = Task(
    name="text2text-generation",
    auto_class_name="AutoModelForSeq2SeqLM",
    heads=("ForConditionalGeneration", "MTModel"),
    inputs=SOURCES,
    problem_of=lambda config: WRITTEN_TOKENS,
    has_labels=True,
    has_two_stacks=True,
    settle_model=settle_writer,
)
"""Of texts with targets."""
