"""A folder of a model of images read into memory: session, image processor and their settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.serving.image_processor import ImageProcessor
from optimum_ose.serving.images import rgb_image
from optimum_ose.serving.runner import FATAL, RUN_ERRORS, reason

INPUT = "pixel_values"
"""What a model of images takes."""
_OUTPUT = "logits"
_SIDE = 224
"""Of the trial's image, where the config does not say."""
_MAX_BATCH_IMAGES = 64
"""Images in one run, so that memory does not depend on how many come together."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageModel:
    """A model that can answer images. Threads may share one instance."""

    config: Mapping[str, Any]
    """Its config.json."""
    processor: ImageProcessor
    """What `preprocessor_config.json` says."""
    session: onnxruntime.InferenceSession
    """Of the ONNX file."""

    def rows(self, images: Sequence[object], *, batch_size: int) -> list[NDArray[np.float32]]:
        """The output for each image, in the order given.

        Args:
            images: see `images.rgb_image`.
            batch_size: images per run.

        Raises:
            InvalidDataError: if something is no image, or the model cannot compute it.
        """
        size = min(batch_size, _MAX_BATCH_IMAGES)
        rows: list[NDArray[np.float32]] = []
        for start in range(0, len(images), size):
            rows += self._run(self._pixels(images[start : start + size], start))
        return rows

    def _pixels(self, images: Sequence[object], start: int) -> list[NDArray[np.float32]]:
        wanted = self.session.get_inputs()[0].shape[2:]
        found = []
        for index, image in enumerate(images, start):
            name = f"Image {index}"
            pixels = self.processor.pixels(rgb_image(image, name), name)
            if any(isinstance(side, int) and side != own for side, own in zip(wanted, pixels.shape[1:], strict=True)):
                raise InvalidDataError(
                    f"{name} must have the size that the model reads, {wanted[1]} x {wanted[0]} pixels",
                    f"preprocessor_config.json makes {pixels.shape[2]} x {pixels.shape[1]} of it",
                    "Resize or crop it to that",
                )
            found.append(pixels)
        return found

    def _run(self, pixels: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The rows of images that share a run."""
        options = onnxruntime.RunOptions()
        options.log_severity_level = FATAL
        try:
            (output,) = self.session.run([_OUTPUT], {INPUT: np.stack(pixels)}, options)
        except RUN_ERRORS as error:
            raise _failure(f"it fails: {reason(error)}") from error
        if not np.isfinite(output).all():
            raise _failure("it gives values that are no numbers")
        return list(output)


def require_outputs(session: onnxruntime.InferenceSession, file: str) -> None:
    """Refuse a file that takes or gives something else.

    Raises:
        InvalidConfigError: naming the file.
    """
    inputs = [(item.name, item.type, len(item.shape)) for item in session.get_inputs()]
    if inputs != [(INPUT, "tensor(float)", 4)] or _OUTPUT not in {item.name for item in session.get_outputs()}:
        raise InvalidConfigError(
            f"{file} must take {INPUT} of shape (images, channels, height, width), and give {_OUTPUT}",
            "it does not",
            "Export the model again",
        )


def _failure(actual: str) -> InvalidDataError:
    return InvalidDataError("The model must be able to compute the images", actual, "Send other images")


def image_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the images that the model was made for."""
    size = config.get("image_size")
    sides = size if isinstance(size, list) and len(size) == 2 else [size, size]
    height, width = (side if isinstance(side, int) and 0 < side <= 2**12 else _SIDE for side in sides)
    return height, width
