"""A waveform as a model takes it: what `preprocessor_config.json` says, by numpy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.serving.sounds import waveform
from optimum_ose.wording import shown

_FILE = "preprocessor_config.json"
_KIND = "Wav2Vec2FeatureExtractor"
"""Of Wav2Vec2, HuBERT, WavLM, UniSpeech, SEW and Data2Vec."""
_NEXT_TO_NOTHING = 1e-7
"""Added to the variance. Source: transformers' Wav2Vec2FeatureExtractor."""
_MAX_RATE = 192_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SoundProcessor:
    """The steps between a sound and the model."""

    rate: int
    """Samples per second."""
    is_normalized: bool
    """Whether a sound gets the mean 0 and the variance 1."""

    @property
    def second(self) -> NDArray[np.float32]:
        """A second of sound."""
        return np.sin(np.arange(self.rate, dtype=np.float32))

    def values(self, sound: object, name: str = "A sound") -> NDArray[np.float32]:
        """The model's input for one sound: (samples,).

        Raises:
            InvalidDataError: if it is no sound; see `sounds.waveform`.
        """
        found = waveform(sound, self.rate, name)
        if self.is_normalized:
            found = (found - found.mean()) / np.sqrt(found.var() + _NEXT_TO_NOTHING)
        return np.asarray(found, dtype=np.float32)


def sound_processor(settings: Mapping[str, Any]) -> SoundProcessor:
    """The steps that a `preprocessor_config.json` names.

    Raises:
        UnsupportedModelError: if sounds are made ready in another way.
        InvalidConfigError: if a setting is of another kind.
    """
    settings = settings.get("feature_extractor", settings)
    kind = settings.get("feature_extractor_type")
    if kind != _KIND or settings.get("feature_size", 1) != 1:
        raise UnsupportedModelError(
            f"Serving knows the feature extractor {_KIND} of one channel",
            f"{_FILE} names {shown(kind)}",
            "Choose a teacher that takes waveforms, such as a Wav2Vec2, HuBERT or WavLM",
        )
    rate, is_normalized = settings.get("sampling_rate", 16_000), settings.get("do_normalize", True)
    if not isinstance(rate, int) or isinstance(rate, bool) or not 1000 <= rate <= _MAX_RATE:
        raise InvalidConfigError(
            f"sampling_rate of {_FILE} must be a whole number from 1000 to {_MAX_RATE}",
            f"got {shown(rate)}",
            "Correct it",
        )
    if not isinstance(is_normalized, bool):
        raise InvalidConfigError(
            f"do_normalize of {_FILE} must be true or false", f"got {shown(is_normalized)}", "Correct it"
        )
    return SoundProcessor(rate=rate, is_normalized=is_normalized)
