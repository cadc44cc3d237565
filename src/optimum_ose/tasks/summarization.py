"""Another name of text2text-generation, as Transformers has it."""

from optimum_ose.tasks.text2text_generation import TASK

__all__ = ["TASK"]
