"""One vector per text, made of the vectors of its tokens."""

from transformers import PreTrainedModel

from optimum_ose.configuration import ExportConfig
from optimum_ose.tasks.parts.pooling import Pooling, SentencePooling, known_pooling, pool

__all__ = ["Pooling", "as_pooling", "chosen_pooling", "pool"]


def as_pooling(pooling: Pooling | SentencePooling | None) -> SentencePooling | None:
    """A pooling by its name; one that is whole already stays."""
    return SentencePooling(mode=pooling) if isinstance(pooling, str) else pooling


def chosen_pooling(model: PreTrainedModel, config: ExportConfig) -> SentencePooling | None:
    """How the file of a model makes a text's one vector: as the settings say, else as the encoder's own config does;
    None: it makes none.
    """
    if config.pooling != "none":
        return as_pooling(config.pooling)
    return known_pooling(model.config) if model.base_model is model else None
