"""The search space of the Bort paper, its maximum point, and the two tuples that go by the name of Bort.

Source: de Wynter & Perry, arXiv:2010.10499; the checkpoint that github.com/alexa/bort released.
"""

from transformers import PretrainedConfig, RobertaConfig

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.modeling.search_space import derive_search_space

BORT_RELEASED = Architecture(num_hidden_layers=4, num_attention_heads=8, hidden_size=1024, intermediate_size=768)
"""The tuple (4, 8, 1024, 768) of the released checkpoint: 75 million parameters without a pooler."""
BORT_AS_SIZED = Architecture(num_hidden_layers=4, num_attention_heads=8, hidden_size=768, intermediate_size=1024)
"""The tuple (4, 8, 768, 1024) that fits the published 56 million parameters; our reading: it has 55 million."""


def bort_config() -> PretrainedConfig:
    """T of the paper, RoBERTa-large: (24, 16, 1024, 4096), a vocabulary of 50,265, 512 positions, one segment."""
    return RobertaConfig(
        vocab_size=50_265,
        max_position_embeddings=512,
        type_vocab_size=1,
        num_hidden_layers=24,
        num_attention_heads=16,
        hidden_size=1024,
        intermediate_size=4096,
    )


def bort_search_space() -> SearchSpace:
    """Xi of the paper: 300 valid candidates, those whose heads divide the width.

    Sizes and operation counts include the pooler of `AutoModel`, H^2 + H parameters.
    """
    return derive_search_space(
        bort_config(),
        num_hidden_layers=(2, 4, 6, 8, 10, 12),
        num_attention_heads=(4, 8, 12, 16),
        hidden_size=(512, 768, 1024),
        intermediate_size=(256, 512, 768, 1024, 3072),
    )
