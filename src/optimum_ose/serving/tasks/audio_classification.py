"""Labels of sounds with their scores."""

from functools import partial
from typing import Any

from optimum_ose.serving.served_task import DirectTask, Options, ServedTask
from optimum_ose.serving.sound_model import SoundModel
from optimum_ose.serving.tasks.parts.labels import Labels
from optimum_ose.serving.tasks.parts.waveform_models import WAVEFORM_MODELS

_DEFAULT_LABELS = 5
"""As many as transformers gives."""


def _answer(model: SoundModel, labels: Labels, inputs: Any, options: Options) -> Any:
    sounds = inputs if isinstance(inputs, list) else [inputs]
    top_k = _DEFAULT_LABELS if options.is_best else options.top_k
    answers = [labels.ranked(row, top_k) for row in model.rows(sounds)]
    return answers if isinstance(inputs, list) else answers[0]


def _load(model: SoundModel) -> DirectTask:
    return DirectTask(
        answer=partial(_answer, model, Labels(model.config)),
        refusal="takes sounds",
        trial=model.processor.second,
        takes_files=True,
    )


SERVED = ServedTask(
    load=_load,
    reads="sounds",
    heads=tuple(f"{name}ForSequenceClassification" for name in WAVEFORM_MODELS),
    num_axes=2,
    is_on_cards=True,
    example="path/to/a/sound.wav",
    names_classes=True,
)
"""A class, a set of classes or a number for each sound."""
