"""Vectors of texts: one for each text where the encoder says how it is made, else one for each token."""

from optimum_ose.tasks.parts.representation import representation
from optimum_ose.tasks.parts.sentences import SENTENCES
from optimum_ose.tasks.parts.task import Task

TASK = Task(
    name="feature-extraction",
    auto_class_name="AutoModel",
    heads=("",),
    inputs=SENTENCES,
    problem_of=representation,
    encodes_texts=True,
)
"""Of texts, by models without a head."""
