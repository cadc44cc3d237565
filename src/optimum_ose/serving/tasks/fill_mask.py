"""Words in place of a text's masks."""

from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.serving.decoding import Decoder
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.model import Model
from optimum_ose.serving.served_task import Options, Rows, RowTask, ServedTask
from optimum_ose.serving.tasks.parts.labels import softmax

_MAX_MASKS = 32
"""In one text."""
_DEFAULT_WORDS = 5
_CHARACTERS_PER_NUMBER = 8
"""Of an answer in JSON, about."""


@final
class MaskFiller:
    """What turns the logits at masks into words."""

    def __init__(self, decoder: Decoder, *, mask: str, mask_id: int, pad_id: int) -> None:
        self._decoder = decoder
        self.mask = mask
        """The token that stands for a word."""
        self._mask_id = mask_id
        self._pad_id = pad_id

    def check(self, encoding: Encoding) -> None:
        """Refuse a text without a mask, or with so many that their logits fill the memory.

        Raises:
            InvalidDataError: if there is none within the model's limit, or more than 32.
        """
        count = encoding.ids.count(self._mask_id)
        if not 0 < count <= _MAX_MASKS:
            raise InvalidDataError(
                f"A text must hold the mask {self.mask} within the length that the model reads, "
                f"at most {_MAX_MASKS} times",
                f"one holds {count}",
                f'Send a text such as "The capital of France is {self.mask}."',
            )

    def at_masks(self, encoding: Encoding, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of the logits of all tokens, those at masks: (masks, vocabulary)."""
        return np.asarray(logits[np.array(encoding.ids) == self._mask_id])

    def fillings(self, encoding: Encoding, logits: NDArray[np.float32], top_k: int) -> list[Any]:
        """The most probable words, as transformers' pipeline gives them.

        Args:
            encoding: of the text.
            logits: (masks, vocabulary).
            top_k: how many words for each mask.

        Returns:
            `score`, `token`, `token_str` and `sequence` of each word; a list for each mask, if there are several.
        """
        ids = np.array(encoding.ids)
        places = np.flatnonzero(ids == self._mask_id)
        lists = [
            self._words(ids, int(place), softmax(row), top_k, alone=len(places) == 1)
            for place, row in zip(places, logits, strict=True)
        ]
        return lists[0] if len(lists) == 1 else lists

    def _words(
        self, ids: NDArray[np.int64], place: int, scores: NDArray[np.float32], top_k: int, *, alone: bool
    ) -> list[dict[str, Any]]:
        words = []
        for token in np.argsort(-scores, kind="stable")[:top_k].tolist():
            filled = ids.copy()
            filled[place] = token
            words.append(
                {
                    "score": float(scores[token]),
                    "token": token,
                    "token_str": self._decoder.text([token]),
                    "sequence": self._decoder.text(filled[filled != self._pad_id].tolist(), skip_special=alone),
                }
            )
        return words


def _answers(filler: MaskFiller, model: Model, pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
    encodings = model.runner.encode(pairs)
    top_k = options.top_k or _DEFAULT_WORDS
    return [filler.fillings(item, row, top_k) for item, row in zip(encodings, rows, strict=True)]


def _answer_values(pairs: list[TextPair], rows: Rows, top_k: int | None) -> int:
    characters = sum(len(text) * len(row) for (text, _), row in zip(pairs, rows, strict=True))
    return characters * (top_k or _DEFAULT_WORDS) // _CHARACTERS_PER_NUMBER


def _formed(answers: list[Any], inputs: object, options: Options) -> Any:
    return answers if isinstance(inputs, list) and len(answers) != 1 else answers[0]


def _load(model: Model) -> RowTask:
    mask_id = model.token_id("mask_token")
    if mask_id is None:
        raise InvalidConfigError(
            "The tokenizer of a masked language model must have a mask", "it names none", "Export the model again"
        )
    mask = model.runner.tokenizer.id_to_token(mask_id) or ""
    filler = MaskFiller(model.decoder, mask=mask, mask_id=mask_id, pad_id=model.runner.padding.pad_id)
    return RowTask(
        answers=partial(_answers, filler, model),
        reads_texts_again=True,
        check=filler.check,
        keep=filler.at_masks,
        answer_values=_answer_values,
        formed=_formed,
        trial_text=mask,
    )


SERVED = ServedTask(
    load=_load,
    heads=("ForMaskedLM",),
    python=(
        "from transformers import pipeline\n\n"
        'model = pipeline("fill-mask", model={model})\n'
        'print(model(f"This is a {{model.tokenizer.mask_token}} text."))'
    ),
)
"""Words in place of masks."""
