"""What rows of a task hold before a model sees them: texts, lists of words, or images."""

from dataclasses import dataclass
from typing import final

from transformers import PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What rows hold, and what makes model inputs of it."""

    name: str
    """In messages."""
    column: str
    """Column of the inputs."""
    processor: type
    """The class of Transformers whose objects make model inputs of them."""
    processor_name: str
    """The same in words, with an article."""
    are_words: bool = False
    """Whether rows are lists of words, each with a label of its own."""
    takes_agora: bool = True
    """Whether Agora can change a row and keep its label."""


TEXTS = Inputs(name="texts", column="text", processor=PreTrainedTokenizerBase, processor_name="a tokenizer")
"""A text, or a pair of texts."""
WORDS = Inputs(
    name="words", column="tokens", processor=PreTrainedTokenizerBase, processor_name="a tokenizer", are_words=True
)
"""A list of words."""
IMAGES = Inputs(
    name="images",
    column="image",
    processor=BaseImageProcessor,
    processor_name="an image processor",
    takes_agora=False,
)
"""An image."""
