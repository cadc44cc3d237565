"""What is said in sounds: the most probable character of each frame, repetitions and blanks removed."""

from collections.abc import Mapping
from functools import partial
from itertools import groupby
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serving.folder import read_object
from optimum_ose.serving.served_task import DirectTask, Options, ServedTask
from optimum_ose.serving.sound_model import SoundModel

_DELIMITER = "|"
"""Between words, where the tokenizer names none."""


@final
class Transcriber:
    """What makes text of the logits of frames. Source: Graves et al. 2006, best path decoding."""

    def __init__(self, vocabulary: Mapping[str, int], *, blank: int, delimiter: str) -> None:
        self._tokens = {index: token for token, index in vocabulary.items()}
        self._blank = blank
        self._delimiter = delimiter

    def text(self, logits: NDArray[np.float32]) -> str:
        """What is said.

        Args:
            logits: (frames, vocabulary).
        """
        best = [int(index) for index, _ in groupby(logits.argmax(-1).tolist())]
        tokens = [self._tokens.get(index, "") for index in best if index != self._blank]
        return " ".join("".join(" " if token == self._delimiter else token for token in tokens).split())


def _answer(model: SoundModel, transcriber: Transcriber, inputs: Any, options: Options) -> Any:
    sounds = inputs if isinstance(inputs, list) else [inputs]
    answers = [{"text": transcriber.text(row)} for row in model.rows(sounds)]
    return answers if isinstance(inputs, list) else answers[0]


def _load(model: SoundModel) -> DirectTask:
    vocabulary = read_object(model.folder, "vocab.json")
    settings = read_object(model.folder, "tokenizer_config.json")
    if not vocabulary or not all(isinstance(index, int) for index in vocabulary.values()):
        raise InvalidConfigError(
            "vocab.json must hold the number of each character", "it does not", "Export the model again"
        )
    pad = settings.get("pad_token", "<pad>")
    blank = vocabulary.get(str(pad.get("content") if isinstance(pad, dict) else pad))
    if blank is None:
        raise InvalidConfigError(
            "vocab.json must hold the padding token, which stands for a frame without a character",
            "it does not",
            "Export the model again",
        )
    transcriber = Transcriber(
        vocabulary, blank=blank, delimiter=str(settings.get("word_delimiter_token") or _DELIMITER)
    )
    return DirectTask(
        answer=partial(_answer, model, transcriber),
        refusal="takes sounds",
        trial=model.processor.second,
        takes_files=True,
        letters="".join(token for token in vocabulary if len(token) == 1),
    )


SERVED = ServedTask(
    load=_load,
    reads="sounds",
    heads=("ForCTC",),
    num_axes=3,
    is_on_cards=True,
    example="path/to/a/sound.wav",
    gives="transcript",
)
"""The text of each sound."""
