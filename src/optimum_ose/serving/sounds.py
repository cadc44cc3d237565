"""Sounds as users give them, checked and brought to one form."""

import io
from collections.abc import Mapping
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidDataError, MissingDependencyError
from optimum_ose.wording import can_name_a_file, one_line, shown

MAX_SECONDS = 30
"""Of a sound; what comes after is cut."""
MIN_SECONDS = 0.05
"""A shorter one has too few frames."""
_MAX_BYTES = 2**26
_MAX_RATE, _MAX_CHANNELS = 192_000, 8
_ANOTHER = "Send another sound"


def require_soundfile() -> None:
    """Refuse to go on without soundfile.

    Raises:
        MissingDependencyError: if it is not installed.
    """
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: its library of C is missing
        raise MissingDependencyError(
            "Tasks of sounds need the package soundfile", "it is not installed", "pip install 'optimum-ose[audio]'"
        ) from error


def waveform(item: object, rate: int, name: str = "A sound") -> NDArray[np.float32]:
    """A sound as one channel at a rate, float32 of shape (samples,), at most `MAX_SECONDS` of it.

    Args:
        item: a path, the bytes of a file (WAV, FLAC, OGG, MP3, ...), an array of numbers of shape (samples,) at that
            rate, or a mapping of such an array (`array` or `raw`) and its `sampling_rate`.
        rate: samples per second that the model takes.
        name: of the sound, in messages.

    Raises:
        InvalidDataError: if it is none of these, damaged, or shorter than `MIN_SECONDS`.
    """
    samples, own_rate = _opened(item, rate, name)
    if not np.isfinite(samples).all():
        raise InvalidDataError(f"{name} must be made of finite numbers", "some are not", _ANOTHER)
    found = _resampled(samples[: own_rate * MAX_SECONDS], own_rate, rate)
    if len(found) < rate * MIN_SECONDS:
        raise InvalidDataError(
            f"{name} must last at least {MIN_SECONDS} seconds", f"it lasts {len(found) / rate:.3f}", _ANOTHER
        )
    return found


def seconds_of(content: bytes) -> float:
    """How long a sound file is.

    Raises:
        InvalidDataError: if it is none.
    """
    import soundfile

    try:
        return float(soundfile.info(io.BytesIO(content)).duration)
    except Exception as error:  # any kind for a damaged file
        raise _damaged("A sound", error) from error


def _resampled(samples: NDArray[np.float32], own: int, rate: int) -> NDArray[np.float32]:
    if own == rate:
        return np.asarray(samples, dtype=np.float32)
    from scipy.signal import resample_poly

    shared = gcd(own, rate)
    return np.asarray(resample_poly(samples, rate // shared, own // shared), dtype=np.float32)


def _opened(item: object, rate: int, name: str) -> tuple[NDArray[np.float32], int]:
    if isinstance(item, Mapping):
        array, own = item.get("array", item.get("raw")), item.get("sampling_rate")
        if not isinstance(own, int) or isinstance(own, bool) or not 0 < own <= _MAX_RATE:
            raise InvalidDataError(
                f"{name} must say how many samples a second has",
                f"sampling_rate is {shown(own)}",
                'Send {"raw": array, "sampling_rate": 16000}',
            )
        return _of_array(np.asarray(array), name), own
    if isinstance(item, np.ndarray):
        return _of_array(item, name), rate
    if isinstance(item, bytes):
        return _of_bytes(item, name)
    if isinstance(item, str | Path):
        return _of_bytes(_content(str(item), name), name)
    raise InvalidDataError(
        f"{name} must be a path, the bytes of a file, an array, or a mapping with raw and sampling_rate",
        f"got a value of type {type(item).__name__}",
        'Send "sound.wav" or an array, or a list of these',
    )


def _of_array(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not array.size:
        raise InvalidDataError(
            f"{name} must be an array of numbers of shape (samples,)",
            f"it is one of {array.dtype} of shape {array.shape}",
            "Send one channel, as numbers from -1 to 1",
        )
    return np.asarray(array, dtype=np.float32)


def _content(path: str, name: str) -> bytes:
    try:
        if can_name_a_file(path) and Path(path).is_file():
            with Path(path).open("rb") as stream:
                return stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidDataError(
            f"{name} must be a file that can be read", one_line(error, limit=200), "Check the path"
        ) from error
    raise InvalidDataError(
        f"{name} must be a file if it is given by its path", f"there is no file {shown(path)}", "Check the path"
    )


def _of_bytes(content: bytes, name: str) -> tuple[NDArray[np.float32], int]:
    import soundfile

    if len(content) > _MAX_BYTES:
        raise InvalidDataError(f"{name} must have at most {_MAX_BYTES:,} bytes", "it has more", _ANOTHER)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as stream:
            rate, num_channels = int(stream.samplerate), int(stream.channels)
            is_usual = 0 < rate <= _MAX_RATE and num_channels <= _MAX_CHANNELS
            count = rate * MAX_SECONDS if is_usual else 0
            channels = stream.read(count, dtype="float32", always_2d=True)
    except Exception as error:  # any kind for a damaged file
        raise _damaged(name, error) from error
    if not is_usual:
        raise InvalidDataError(
            f"{name} must have at most {_MAX_RATE:,} samples a second and {_MAX_CHANNELS} channels",
            f"its file says {rate:,} and {num_channels}",
            _ANOTHER,
        )
    if not len(channels):
        raise InvalidDataError(f"{name} must hold samples", "it is empty", _ANOTHER)
    return channels.mean(axis=1), rate


def _damaged(name: str, error: Exception) -> InvalidDataError:
    told = one_line(error, limit=120) or type(error).__name__
    return InvalidDataError(f"{name} must be an undamaged sound file", f"soundfile cannot read it: {told}", _ANOTHER)
