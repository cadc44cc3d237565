"""Loads image processors, feature extractors and teachers; each failure names the file or setting at fault."""

from collections.abc import Callable
from typing import Any

from packaging.version import Version
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    PretrainedConfig,
    PreTrainedModel,
    SequenceFeatureExtractor,
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
from optimum_ose.wording import first_line

__all__ = [
    "Checkpoint",
    "load_checkpoint",
    "load_config",
    "load_feature_extractor",
    "load_image_processor",
    "load_preprocessor",
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


def require_matching(teacher: PreTrainedModel, processor: BaseImageProcessor | SequenceFeatureExtractor) -> None:
    """Pass if the teacher answers an image as the processor makes it. Waveforms have no size to differ in.

    Raises:
        InvalidConfigError: if it does not, for their sizes or channels differ.
    """
    if isinstance(processor, SequenceFeatureExtractor):
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
