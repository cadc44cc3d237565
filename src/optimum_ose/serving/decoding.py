"""Tokens back to text."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from tokenizers import Tokenizer

_CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What loses its spaces where the tokenizer's settings ask for it."""


@final
class Decoder:
    """What turns token ids into the text that transformers makes of them."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        is_bpe = type(tokenizer.model).__name__ == "BPE"
        self.cleans = settings.get("clean_up_tokenization_spaces") is True and not is_bpe
        """Whether a word can lose the space before it when the next one comes."""
        added = tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(index for index, token in added.items() if token.special)
        """Tokens that stand for no text."""

    def text(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of tokens, perhaps without the special ones."""
        text = str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special))
        if self.cleans:
            for mark in _CLEANED:
                text = text.replace(mark, mark.strip())
        return text


def token_id(tokenizer: Tokenizer, settings: Mapping[str, Any], role: str) -> int | None:
    """The id of a special token by its role (`mask_token`, ...), where the tokenizer has it."""
    token = settings.get(role)
    if isinstance(token, dict):
        token = token.get("content")
    return tokenizer.token_to_id(token) if isinstance(token, str) else None
