"""Encodings of different length as arrays: which share one, and how it is filled."""

from collections.abc import Iterator
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

INPUT_NAMES = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""What a model may take."""


@final
class Padding:
    """How encodings of different length become one array."""

    def __init__(self, config: dict[str, Any], settings: dict[str, Any], tokenizer: Tokenizer) -> None:
        token = settings.get("pad_token")
        known = tokenizer.token_to_id(token["content"] if isinstance(token, dict) else token) if token else None
        identifier = config.get("pad_token_id")
        self.pad_id = int(identifier) if identifier is not None and identifier >= 0 else known or 0
        """The token that fills rows up."""
        self._reads_last_place = config.get("model_type") == "xlnet"

    def arrays(self, encodings: list[Encoding], *, left: bool = False) -> dict[str, NDArray[np.int64]]:
        """The model's inputs, int64 of shape (len(encodings), longest).

        They are filled on the right, whatever the tokenizer's side: positions are then those of each text alone, as
        where transformers' pipelines run text by text. A generator, whose new tokens come next, is filled on the left,
        and so is XLNet, whose classifiers read the last place.
        """
        left = left or self._reads_last_place
        shape = (len(encodings), max(1, *map(len, encodings)))
        arrays = {name: np.zeros(shape, dtype=np.int64) for name in INPUT_NAMES}
        arrays["input_ids"][:] = self.pad_id
        for row, encoding in enumerate(encodings):
            columns = slice(shape[1] - len(encoding), None) if left else slice(len(encoding))
            arrays["input_ids"][row, columns] = encoding.ids
            arrays["attention_mask"][row, columns] = encoding.attention_mask
            arrays["token_type_ids"][row, columns] = encoding.type_ids
        return arrays


def run_groups(lengths: list[int], batch_size: int, max_tokens: int) -> Iterator[list[int]]:
    """Indices in runs of similar length, the shortest first."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) == batch_size or (len(group) + 1) * lengths[index] > max_tokens):
            yield group
            group = []
        group.append(index)
    if group:
        yield group
