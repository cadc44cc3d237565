"""An exported folder read into memory: what its model does, its session, its tokenizer and their settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from tokenizers import Tokenizer

from optimum_ose.exceptions import InvalidConfigError, is_panic
from optimum_ose.serving.decoding import Decoder
from optimum_ose.serving.folder import has_file, read_object, read_tokenizer, resolve_file
from optimum_ose.serving.graphs import INT8, main_file
from optimum_ose.serving.image_loading import load_image_model
from optimum_ose.serving.image_model import ImageModel
from optimum_ose.serving.model import Model
from optimum_ose.serving.padding import Padding
from optimum_ose.serving.runner import Runner, open_session
from optimum_ose.serving.sequence_model import load_sequence_model
from optimum_ose.serving.served_task import DirectTask, Gives, RowTask
from optimum_ose.serving.settings import check_config, check_tokenizer_settings, stated_length
from optimum_ose.serving.sound_model import SoundModel, load_sound_model
from optimum_ose.serving.tasks import served_tasks, task_of_file, task_of_head
from optimum_ose.serving.trial import Trial
from optimum_ose.silence import STANDARD_ERROR, native_silence
from optimum_ose.wording import one_line

_EXPORT_MARK = "ose/exported"
"""Is in folders that an export of ours wrote; `ose/export.json` comes last."""
_RARE_TEXT = "a \U0010fffd"
"""Holds a character that is in no vocabulary."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTask:
    """A model that can answer, and what it does."""

    name: str
    """Of the task."""
    model: Model | None
    """Session, tokenizer and settings; None: it reads no texts."""
    task: RowTask | DirectTask
    """How inputs are answered."""
    gives: Gives | None
    """See `ServedTask.gives`."""


def load_model(folder: Path, file: str, *, config: dict[str, Any], num_threads: int | None) -> LoadedTask:
    """Open the session of a folder and what makes its inputs, and try what the model can take.

    Args:
        folder: holds `tokenizer.json` and `tokenizer_config.json`, or for images and sounds `preprocessor_config.json`.
        file: the ONNX file, relative to the folder.
        config: what `config.json` holds.
        num_threads: intra-op threads; None leaves the choice to ONNX Runtime.

    Raises:
        OutputFolderError: if a file is missing.
        InvalidConfigError: if a file is damaged, or the files do not belong together.
        UnsupportedModelError: if the model is for another task, or its inputs are made ready in an unknown way.
        MissingDependencyError: if it is a model of images or sounds, and Pillow or soundfile is not installed.
    """
    head, model_path = model_task(config), resolve_file(folder, file)
    served = served_tasks()[head]
    if served.reads == "sources":
        return _load_sources(folder, file, head, config=config, num_threads=num_threads)
    if served.reads == "texts":
        return _load_texts(folder, model_path, head, config=config, num_threads=num_threads)
    load: Callable[..., ImageModel | SoundModel] = load_image_model if served.reads == "images" else load_sound_model
    model = load(folder, model_path, served, head, config=config, num_threads=num_threads)
    return LoadedTask(name=head, model=None, task=served.load(model), gives=served.gives)


def _load_sources(folder: Path, file: str, head: str, *, config: dict[str, Any], num_threads: int | None) -> LoadedTask:
    settings = read_object(folder, "tokenizer_config.json")
    check_tokenizer_settings(settings)
    model = load_sequence_model(
        folder,
        file,
        tokenizer=_load_tokenizer(folder),
        config=config,
        tokenizer_settings=settings,
        num_threads=num_threads,
    )
    served = served_tasks()[head]
    return LoadedTask(name=head, model=None, task=served.load(model), gives=served.gives)


def _load_texts(
    folder: Path, model_path: Path, head: str, *, config: dict[str, Any], num_threads: int | None
) -> LoadedTask:
    settings = read_object(folder, "tokenizer_config.json")
    check_tokenizer_settings(settings)
    tokenizer = _load_tokenizer(folder)
    runner = Runner(open_session(model_path, num_threads), tokenizer, Padding(config, settings, tokenizer))
    name = task_of_file(head, runner.output_names)
    task = served_tasks()[name]
    trial = Trial(runner, file=model_path.name)
    trial.check(task, name, config)
    limit = trial.length(stated_length(config, settings))
    _cut(tokenizer, limit, settings)
    model = Model(
        folder=folder,
        config=config,
        settings=settings,
        runner=runner,
        decoder=Decoder(tokenizer, settings),
        max_length=limit,
    )
    return LoadedTask(name=name, model=model, task=task.load(model), gives=task.gives)


def model_task(config: Mapping[str, Any]) -> str:
    """What a model does, by the name of its class.

    Raises:
        UnsupportedModelError: if that is nothing known here.
        InvalidConfigError: if the config is damaged.
    """
    check_config(config)
    return task_of_head(config)


def default_file(folder: Path) -> str:
    """The file that the benchmark recommends, else that which the export recommends, else int8, else fp32.

    An export of ours that was cut off has compared nothing: fp32.
    """
    for record in ("ose/benchmark.json", "ose/export.json"):
        if has_file(folder, record):
            recommended = read_object(folder, record).get("default_file")
            if isinstance(recommended, str):
                return recommended
    is_compared = not has_file(folder, _EXPORT_MARK)
    quantized = main_file(folder, INT8)
    return quantized if is_compared and has_file(folder, quantized) else main_file(folder)


def _load_tokenizer(folder: Path) -> Tokenizer:
    text = read_tokenizer(folder)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises no narrower class
        raise InvalidConfigError(
            "tokenizer.json must be a tokenizer that the library tokenizers can read",
            str(error),
            "Export the model again",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    _require_encoding(tokenizer)
    return tokenizer


def _require_encoding(tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer that fails on every text, as one does whose template names a token that it does not have."""
    try:
        with native_silence(STANDARD_ERROR):
            tokenizer.encode(_RARE_TEXT)
            tokenizer.encode(_RARE_TEXT, "b")
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise InvalidConfigError(
            "tokenizer.json must be a tokenizer that encodes texts and pairs of texts",
            f"it fails on a short one: {one_line(error, limit=120)}",
            "Export the model again",
        ) from error


def _cut(tokenizer: Tokenizer, limit: int | None, settings: Mapping[str, Any]) -> None:
    """Let the tokenizer cut texts to the limit.

    Raises:
        InvalidConfigError: if the tokens that every text gets leave no room.
    """
    if limit is None:
        return
    special = tokenizer.num_special_tokens_to_add(False)
    if limit <= special:
        raise InvalidConfigError(
            f"A text must be allowed more than its {special} special tokens",
            f"the folder's files allow {limit} tokens",
            "Set model_max_length in tokenizer_config.json to the length that the model reads",
        )
    tokenizer.enable_truncation(limit, direction=settings.get("truncation_side") or "right")
