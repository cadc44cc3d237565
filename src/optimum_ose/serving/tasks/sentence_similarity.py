"""A vector for each text, by which texts are compared. Its files are known by their output: see sentence_embedding."""

from optimum_ose.serving.served_task import ServedTask
from optimum_ose.serving.tasks.sentence_embedding import SERVED as EMBEDDING

SERVED = ServedTask(
    load=EMBEDDING.load,
    num_axes=EMBEDDING.num_axes,
    is_on_cards=True,
    is_in_transformers=False,
    is_in_javascript=False,
    python=(
        "from sentence_transformers import SentenceTransformer\n\n"
        "model = SentenceTransformer({model})\n"
        "vectors = model.encode([{example}, {example}])\n"
        "print(model.similarity(vectors, vectors))"
    ),
)
"""For model cards."""
