"""How well documents answer a query: a number for each, by which they are ranked."""

from optimum_ose.tasks.parts.ranking import RANKING, require_one_output, settle_reranker
from optimum_ose.tasks.parts.rankings import RANKINGS
from optimum_ose.tasks.parts.task import Task

TASK = Task(
    name="text-ranking",
    auto_class_name="AutoModelForSequenceClassification",
    heads=("ForSequenceClassification",),
    inputs=RANKINGS,
    problem_of=lambda config: RANKING,
    has_labels=True,
    require_sound_head=require_one_output,
    num_outputs=1,
    settle_head=settle_reranker,
)
"""Of queries and documents, by cross-encoders."""
