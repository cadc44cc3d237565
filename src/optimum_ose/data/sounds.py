"""Data sets of sounds, from folders or tables, and the rows that are made of them."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from datasets import Audio, Dataset, Features, Value
from datasets import Sequence as ListFeature
from transformers import PretrainedConfig

from optimum_ose.data.labels import align_labels, row_labels, with_names
from optimum_ose.data.media import Medium, media_splits
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.exceptions import InvalidDataError, OSEError
from optimum_ose.preprocessing import SOUND
from optimum_ose.serving.sounds import MAX_SECONDS, MIN_SECONDS, require_soundfile, seconds_of, waveform

_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au")
_FILE = {"bytes": Value("binary"), "path": Value("string")}


def sound_splits(request: DataRequest) -> Splits:
    """Splits with the columns `audio`, mappings of `bytes` and `path`, and `label`.

    Raises:
        InvalidDataError: if there are no sounds that can be read, or they have no labels.
        MissingDependencyError: if soundfile is not installed.
    """
    require_soundfile()
    return media_splits(request, SOUNDS)


def sound_rows(
    dataset: Dataset,
    config: PretrainedConfig | None,
    *,
    rate: int,
    needs_labels: bool = True,
    on_cut: Callable[[int], None] | None = None,
) -> Dataset:
    """Rows with the columns `audio`, decoded once, and `labels`; such rows are returned as they are.

    Args:
        dataset: with the columns `audio` (of the feature `datasets.Audio`, a path, or a mapping of `bytes`, `path` or
            `array` and `sampling_rate`) and `label`.
        config: of a teacher whose head is trained; classes get its numbers. None: they keep their own.
        rate: samples per second that the model takes; sounds of another rate are resampled.
        needs_labels: whether rows must have a label; else one that is there is kept.
        on_cut: hears how many sounds are cut.

    Raises:
        InvalidDataError: if the columns are others, a sound cannot be read, or the classes are not the teacher's.
    """
    columns = set(dataset.column_names)
    if {SOUND, "labels"} <= columns or (SOUND in columns and _is_decoded(dataset)):
        return dataset
    if not ({SOUND, "label"} if needs_labels else {SOUND}) <= columns:
        raise InvalidDataError(
            f"A data set of sounds must have the column{'s audio and label' if needs_labels else ' audio'}",
            f"it has {', '.join(dataset.column_names)}",
            "Rename its columns",
        )
    made: dict[str, list[Any]] = {SOUND: decoded(dataset, rate, on_cut)}
    features: dict[str, Any] = {SOUND: ListFeature(Value("float32"))}
    if "label" not in columns:
        return Dataset.from_dict(made, features=Features(features))
    labels = dataset.select_columns(["label"])
    labels = align_labels(labels, config) if config is not None else with_names(labels)
    return Dataset.from_dict(made, features=Features(features)).add_column("labels", row_labels(labels))


def decoded(dataset: Dataset, rate: int, on_cut: Callable[[int], None] | None = None) -> list[Any]:
    """The waveforms of a data set: float32, each of shape (samples,).

    Args:
        dataset: with the column `audio`.
        rate: samples per second that are wanted.
        on_cut: hears how many sounds are as long as the longest that is read, so that more may have been cut.

    Raises:
        InvalidDataError: if one cannot be read, with its row.
    """
    found = [waveform(sound, rate, f"The sound of row {row}") for row, sound in enumerate(sound_inputs(dataset))]
    num_cut = sum(len(sound) >= rate * MAX_SECONDS for sound in found)
    if num_cut and on_cut is not None:
        on_cut(num_cut)
    return found


def sound_inputs(dataset: Dataset) -> list[Any]:
    """What a client sends for each row of sounds: a path, the bytes of a file, or an array with its rate."""
    if isinstance(dataset.features[SOUND], Audio):
        dataset = dataset.cast_column(SOUND, Audio(decode=False))
    return [_sent(value) for value in dataset[SOUND]]


def _sent(value: Any) -> Any:
    if not isinstance(value, dict):
        return np.asarray(value, dtype=np.float32) if isinstance(value, list) else value
    if value.get("bytes"):
        return value["bytes"]
    return value if "array" in value else value.get("path")


def _is_decoded(dataset: Dataset) -> bool:
    return getattr(getattr(dataset.features[SOUND], "feature", None), "dtype", None) == "float32"


def _check(content: bytes) -> None:
    try:
        seconds = seconds_of(content)
    except OSEError as error:
        raise ValueError(error.actual) from error
    if seconds < MIN_SECONDS:
        raise ValueError(f"it lasts {seconds:.3f} seconds, less than {MIN_SECONDS}")


def _as_files(rows: Dataset) -> Dataset:
    return rows.cast_column(SOUND, cast(Any, _FILE))


SOUNDS = Medium(
    name=SOUND,
    usual_columns=(SOUND, "sound", "speech", "file_name", "file", "path"),
    suffixes=_SUFFIXES,
    check=_check,
    features=_as_files,
)
"""Sound files."""
