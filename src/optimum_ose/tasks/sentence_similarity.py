"""A vector for each text, by which texts are compared."""

from optimum_ose.tasks.parts.pooling import SentencePooling
from optimum_ose.tasks.parts.representation import representation
from optimum_ose.tasks.parts.sentences import SENTENCES
from optimum_ose.tasks.parts.task import Task

TASK = Task(
    name="sentence-similarity",
    auto_class_name="AutoModel",
    heads=("",),
    inputs=SENTENCES,
    problem_of=representation,
    encodes_texts=True,
    default_pooling=SentencePooling(),
)
"""Of texts, by models without a head."""
