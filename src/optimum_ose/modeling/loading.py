"""Loads configs, tokenizers, image processors and teachers, and says plainly what is wrong where that fails."""

import json
from pathlib import Path, PurePath
from typing import Any

import torch
from packaging.version import Version
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    __version__,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils.hub import cached_file

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.prediction import evaluating
from optimum_ose.modeling.tasks import auto_class
from optimum_ose.preprocessing import IMAGE, process_images

_PILLOW: dict[str, Any] = {"use_fast": False} if Version(__version__).major < 5 else {"backend": "pil"}
"""Images are resized by Pillow, not by torchvision where that is installed: the same pixels everywhere."""
_BLANK_SIZE = 32
_INDEX = "model.safetensors.index.json"


def load_config(source: str, *, trust_remote_code: bool = False, revision: str | None = None) -> PretrainedConfig:
    """The config of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
        UnsupportedModelError: if Transformers does not know its model type.
    """
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code, revision=revision)
    except ValueError as error:
        raise UnsupportedModelError(
            "The model type must be one that this transformers version knows",
            f"{source}: {_first_line(error)}",
            "Update transformers, or choose another model",
        ) from error
    except OSError as error:
        raise _not_loaded(source, error) from error
    if not isinstance(config, PretrainedConfig):
        raise _not_loaded(source, ValueError("its config.json describes no Transformers model"))
    return config


def load_tokenizer(
    source: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, trust_remote_code=trust_remote_code, revision=revision
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(source, error) from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers 5 makes an empty tokenizer where the files are missing, and every word becomes unknown.
        raise _not_loaded(source, ValueError("its tokenizer has no vocabulary; the tokenizer files may be missing"))
    return tokenizer


def load_image_processor(
    source: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> BaseImageProcessor:
    """The image processor of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
        UnsupportedModelError: if Pillow is not installed, or it makes something else than `pixel_values`.
    """
    try:
        processor: BaseImageProcessor = AutoImageProcessor.from_pretrained(
            source, trust_remote_code=trust_remote_code, revision=revision, **_PILLOW
        )
    except ImportError as error:
        raise UnsupportedModelError(
            "Tasks of images need the package pillow", "it is not installed", "pip install 'optimum-ose[vision]'"
        ) from error
    except (OSError, ValueError) as error:
        raise _not_loaded(source, error) from error
    if list(processor.model_input_names) != ["pixel_values"]:
        raise UnsupportedModelError(
            "An image processor must make pixel_values and nothing else",
            f"{type(processor).__name__} makes {', '.join(processor.model_input_names)}",
            "Choose a teacher that takes whole images, such as a ViT, DeiT or BEiT",
        )
    return processor


def require_matching(teacher: PreTrainedModel, processor: BaseImageProcessor) -> None:
    """Pass if the teacher answers an image as the processor makes it.

    Raises:
        InvalidConfigError: if it does not, for their sizes or channels differ.
    """
    from PIL.Image import new  # not installed where only text is read

    batch = process_images(processor)([{IMAGE: new("RGB", (_BLANK_SIZE, _BLANK_SIZE))}])
    shape = tuple(batch["pixel_values"].shape[1:])
    try:
        with evaluating(teacher):
            teacher(**batch)
    except BUILD_ERRORS as error:
        raise InvalidConfigError(
            "The image processor must make images as the teacher takes them",
            f"{type(teacher).__name__} refuses one of shape {shape}: {_first_line(error)}",
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
    """The model of a folder or Hub id, from safetensors, in evaluation mode. A head that the files lack is drawn
    with seed 0.

    Raises:
        InvalidConfigError: if there is none, or its weights are not safetensors.
        UnsupportedModelError: if the task is not handled.
    """
    require_plain_weights(source, config, revision=revision)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision, "use_safetensors": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model: PreTrainedModel = auto_class(task).from_pretrained(source, config=config, **options)
        except (OSError, ValueError) as error:
            raise _not_loaded(source, error) from error
    model.float()
    model.eval()
    return model


def require_plain_weights(source: str, config: PretrainedConfig, *, revision: str | None = None) -> None:
    """Refuse an index of weight files that names something else than safetensors files beside it.

    Transformers would read such a file wherever it lies, and unpickle it if it is no safetensors file.

    Raises:
        InvalidConfigError: if the index does so, or is damaged.
    """
    named = getattr(config, "transformers_weights", None) or _INDEX
    if not str(named).endswith(".index.json"):
        return
    path = cached_file(
        source,
        named,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    if path is None:
        return
    try:
        files = json.loads(Path(path).read_text(encoding="utf-8"))["weight_map"].values()
        bad = sorted({str(name) for name in files if PurePath(name).name != name or not name.endswith(".safetensors")})
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _not_loaded(source, ValueError(f"its {named} is damaged ({type(error).__name__})")) from error
    if bad:
        raise InvalidConfigError(
            f"{named} must name safetensors files beside it",
            f"in {source} it names {', '.join(bad[:3])}",
            "Do not use this model, or have its author save it with safetensors",
        )


def _not_loaded(source: str, error: Exception) -> InvalidConfigError:
    return InvalidConfigError(
        "--model must be a folder or Hub id with a Transformers model in safetensors and its tokenizer, or "
        "for images its image processor",
        f"loading {source!r} failed: {_first_line(error)}",
        "Check the name, the network and HF_HUB_OFFLINE",
    )


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
