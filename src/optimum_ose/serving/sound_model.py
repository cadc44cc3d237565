"""A folder of a model of sounds read into memory: session, feature extractor and their settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.serving.folder import read_object
from optimum_ose.serving.runner import FATAL, RUN_ERRORS, open_session, reason
from optimum_ose.serving.served_task import ServedTask
from optimum_ose.serving.sound_processor import SoundProcessor, sound_processor
from optimum_ose.serving.sounds import require_soundfile
from optimum_ose.serving.trial import check_output

INPUT = "input_values"
"""What a model of waveforms takes."""
_OUTPUT = "logits"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SoundModel:
    """A model that can answer sounds. Threads may share one instance."""

    folder: Path
    """Where it was read from."""
    config: Mapping[str, Any]
    """Its config.json."""
    processor: SoundProcessor
    """What `preprocessor_config.json` says."""
    session: onnxruntime.InferenceSession
    """Of the ONNX file."""

    def rows(self, sounds: Sequence[object]) -> list[NDArray[np.float32]]:
        """The output for each sound, in the order given; each runs alone, for padding would change it.

        Args:
            sounds: see `sounds.waveform`.

        Raises:
            InvalidDataError: if something is no sound, or the model cannot compute it.
        """
        return [self._run(self.processor.values(sound, f"Sound {index}")) for index, sound in enumerate(sounds)]

    def _run(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        options = onnxruntime.RunOptions()
        options.log_severity_level = FATAL
        try:
            (output,) = self.session.run([_OUTPUT], {INPUT: values[None]}, options)
        except RUN_ERRORS as error:
            raise _failure(f"it fails: {reason(error)}") from error
        if not np.isfinite(output).all():
            raise _failure("it gives values that are no numbers")
        return np.asarray(output[0], dtype=np.float32)


def load_sound_model(
    folder: Path, model_path: Path, task: ServedTask, name: str, *, config: dict[str, Any], num_threads: int | None
) -> SoundModel:
    """Open the session and read the feature extractor, and let them answer a sound.

    Args:
        folder: holds `preprocessor_config.json`.
        model_path: the ONNX file.
        task: what the model does.
        name: of the task.
        config: what `config.json` holds.
        num_threads: intra-op threads; None leaves the choice to ONNX Runtime.

    Raises:
        OutputFolderError: if a file is missing.
        InvalidConfigError: if a file is damaged, or the files do not belong together.
        UnsupportedModelError: if sounds are made ready in an unknown way.
        MissingDependencyError: if soundfile is not installed.
    """
    require_soundfile()
    processor = sound_processor(read_object(folder, "preprocessor_config.json"))
    session = open_session(model_path, num_threads, known_inputs=frozenset({INPUT}))
    _require_outputs(session, model_path.name)
    model = SoundModel(folder=folder, config=config, processor=processor, session=session)
    try:
        (row,) = model.rows([processor.second])
    except InvalidDataError as error:
        raise InvalidConfigError(
            f"{model_path.name} must compute a sound of one second", error.actual, "Export the model again"
        ) from error
    check_output(row[None], task, name, config, file=model_path.name)
    return model


def _require_outputs(session: onnxruntime.InferenceSession, file: str) -> None:
    inputs = [(item.name, item.type, len(item.shape)) for item in session.get_inputs()]
    if inputs != [(INPUT, "tensor(float)", 2)] or _OUTPUT not in {item.name for item in session.get_outputs()}:
        raise InvalidConfigError(
            f"{file} must take {INPUT} of shape (sounds, samples), and give {_OUTPUT}",
            "it does not",
            "Export the model again",
        )


def _failure(actual: str) -> InvalidDataError:
    return InvalidDataError("The model must be able to compute the sound", actual, "Send another sound")
