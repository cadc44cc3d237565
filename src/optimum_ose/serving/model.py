"""A folder read into memory: session, tokenizer and their settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from optimum_ose.serving.decoding import Decoder, token_id
from optimum_ose.serving.runner import Runner


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that can answer."""

    folder: Path
    """Where it was read from."""
    config: Mapping[str, Any]
    """Its config.json."""
    settings: Mapping[str, Any]
    """Its tokenizer_config.json."""
    runner: Runner
    """Session and tokenizer."""
    decoder: Decoder
    """Tokens back to text."""
    max_length: int | None
    """Tokens per text; None: no limit."""

    def token_id(self, role: str) -> int | None:
        """The id of a special token by its role (`mask_token`, ...), where the tokenizer has it."""
        return token_id(self.runner.tokenizer, self.settings, role)
