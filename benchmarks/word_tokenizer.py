"""Owns the tokenizer of models with random weights: words without meaning, for latency depends on none."""

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast


def word_tokenizer(vocabulary_size: int) -> PreTrainedTokenizerFast:
    """One word per id; only their number and the names of the inputs matter."""
    words = {f"w{index}": index for index in range(vocabulary_size)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w1")),
        unk_token="w1",
        pad_token="w0",
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
