"""Loads image processors, feature extractors and teachers; each failure names the file or setting at fault."""

from collections.abc import Callable
from typing import Any

from packaging.version import Version
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoProcessor,
    PretrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
    SequenceFeatureExtractor,
    Wav2Vec2CTCTokenizer,
    __version__,
)
from transformers.image_processing_utils import BaseImageProcessor

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.checkpoint import Checkpoint, load_checkpoint
from optimum_ose.modeling.configs import load_config
from optimum_ose.modeling.prediction import evaluating
from optimum_ose.modeling.source import damaged, not_loaded, read_object, require_source
from optimum_ose.modeling.tokenizers import load_tokenizer, require_fitting_tokenizer, settle_padding
from optimum_ose.modeling.weights import require_float32
from optimum_ose.preprocessing import IMAGE, Preprocessor, process_images
from optimum_ose.serving.sound_processor import sound_processor
from optimum_ose.serving.sounds import require_soundfile
from optimum_ose.wording import first_line, one_line

__all__ = [
    "Checkpoint",
    "load_checkpoint",
    "load_config",
    "load_feature_extractor",
    "load_image_processor",
    "load_preprocessor",
    "load_speech_processor",
    "load_teacher",
    "load_tokenizer",
    "require_fitting_tokenizer",
    "require_float32",
    "require_matching",
    "require_source",
    "settle_padding",
]

_PILLOW: dict[str, Any] = {"use_fast": False} if Version(__version__).major < 5 else {"backend": "pil"}
"""Images are resized by Pillow, not by torchvision where that is installed: the same pixels everywhere."""
_BLANK_SIZE = 32
_SPEECH_FILES = ("preprocessor_config.json", "processor_config.json")


def load_preprocessor(
    source: str, kind: type, *, trust_remote_code: bool = False, revision: str | None = None
) -> Preprocessor:
    """The tokenizer, image processor or feature extractor of a folder or Hub id.

    Args:
        source: folder or Hub id.
        kind: the class of Transformers that a task's inputs need.
        trust_remote_code: run code that comes with it.
        revision: on the Hub.

    Raises:
        InvalidConfigError, UnsupportedModelError: as the loader of that kind.
    """
    load: Callable[..., Preprocessor] = load_tokenizer
    if issubclass(kind, BaseImageProcessor):
        load = load_image_processor
    elif issubclass(kind, SequenceFeatureExtractor):
        load = load_feature_extractor
    elif issubclass(kind, ProcessorMixin):
        load = load_speech_processor
    return load(source, trust_remote_code=trust_remote_code, revision=revision)


def load_image_processor(
    source: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> BaseImageProcessor:
    """The image processor of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
        UnsupportedModelError: if Pillow is not installed, or it makes something else than `pixel_values`.
    """
    source = require_source(source)
    read_object(source, "preprocessor_config.json", revision=revision)
    try:
        processor: BaseImageProcessor = AutoImageProcessor.from_pretrained(
            source, trust_remote_code=trust_remote_code, revision=revision, **_PILLOW
        )
    except ImportError as error:
        raise UnsupportedModelError(
            "Tasks of images need the package pillow", "it is not installed", "pip install 'optimum-ose[vision]'"
        ) from error
    except OSError as error:
        raise not_loaded(source, error) from error
    except BUILD_ERRORS as error:
        raise damaged(source, "preprocessor_config.json", first_line(error)) from error
    if list(processor.model_input_names) != ["pixel_values"]:
        raise UnsupportedModelError(
            "An image processor must make pixel_values and nothing else",
            f"{type(processor).__name__} makes {', '.join(processor.model_input_names)}",
            "Choose a teacher that takes whole images, such as a ViT, DeiT or BEiT",
        )
    return processor


def load_feature_extractor(
    source: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> SequenceFeatureExtractor:
    """The feature extractor of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
        UnsupportedModelError: if it makes something else than waveforms, which is not served.
        MissingDependencyError: if soundfile is not installed.
    """
    require_soundfile()
    source = require_source(source)
    settings = read_object(source, "preprocessor_config.json", revision=revision)
    if settings:
        sound_processor(settings)
    try:
        extractor: SequenceFeatureExtractor = AutoFeatureExtractor.from_pretrained(
            source, trust_remote_code=trust_remote_code, revision=revision
        )
    except OSError as error:
        raise not_loaded(source, error) from error
    except BUILD_ERRORS as error:
        raise damaged(source, "preprocessor_config.json", first_line(error)) from error
    return extractor


def load_speech_processor(
    source: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> ProcessorMixin:
    """The feature extractor and the tokenizer of characters of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
        UnsupportedModelError: if it makes something else than waveforms and characters, which is not served.
        MissingDependencyError: if soundfile is not installed.
    """
    require_soundfile()
    source = require_source(source)
    settings = [read_object(source, name, revision=revision) for name in _SPEECH_FILES]
    for found in filter(None, settings):
        sound_processor(found)
    try:
        processor: Any = AutoProcessor.from_pretrained(source, trust_remote_code=trust_remote_code, revision=revision)
    except OSError as error:
        raise not_loaded(source, error) from error
    except BUILD_ERRORS as error:
        raise damaged(source, "tokenizer_config.json", first_line(error)) from error
    if not isinstance(getattr(processor, "tokenizer", None), Wav2Vec2CTCTokenizer):
        raise UnsupportedModelError(
            "Speech recognition needs a Wav2Vec2CTCTokenizer, with a vocab.json of characters",
            f"{one_line(source, limit=120)} has a {type(getattr(processor, 'tokenizer', processor)).__name__}",
            "Choose a teacher that writes characters, such as a Wav2Vec2ForCTC",
        )
    return processor  # type: ignore[no-any-return]


def require_matching(teacher: PreTrainedModel, processor: Preprocessor) -> None:
    """Pass if the teacher answers an image as the processor makes it. Waveforms have no size to differ in.

    Raises:
        InvalidConfigError: if it does not, for their sizes or channels differ.
    """
    if not isinstance(processor, BaseImageProcessor):
        return
    from PIL.Image import new  # not installed where only text is read

    batch = process_images(processor)([{IMAGE: new("RGB", (_BLANK_SIZE, _BLANK_SIZE))}])
    shape = tuple(batch["pixel_values"].shape[1:])
    try:
        with evaluating(teacher):
            teacher(**batch)
    except BUILD_ERRORS as error:
        raise InvalidConfigError(
            "The image processor must make images as the teacher takes them",
            f"{type(teacher).__name__} refuses one of shape {shape}: {first_line(error)}",
            "Give the preprocessor_config.json that the teacher was trained with; images have three channels",
        ) from error


def load_teacher(
    source: str,
    config: PretrainedConfig,
    *,
    task: str,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> PreTrainedModel:
    """The model of `load_checkpoint`, whether or not its head is trained."""
    return load_checkpoint(source, config, task=task, trust_remote_code=trust_remote_code, revision=revision).model
