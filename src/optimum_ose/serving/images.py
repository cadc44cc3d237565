"""Images as users give them, checked and brought to one form."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidDataError, MissingDependencyError
from optimum_ose.wording import can_name_a_file, one_line, shown

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 2**26
"""Of an image file."""
MAX_PIXELS = 2**26
"""Of an image, as it comes and as it is resized; below the number from which Pillow warns."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""That are read."""
_CHANNELS = (1, 3, 4)
_ANOTHER = "Send another image"


def require_pillow() -> None:
    """Refuse to go on without Pillow.

    Raises:
        MissingDependencyError: if it is not installed.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "Tasks of images need the package pillow", "it is not installed", "pip install 'optimum-ose[vision]'"
        ) from error


def rgb_image(item: object, name: str = "An image") -> "Image":
    """An upright image with three channels.

    Args:
        item: a path, the bytes of a file, an image of Pillow, or an array of whole numbers 0 to 255 (uint8) of shape
            (height, width) or (height, width, channels).
        name: of the image, in messages.

    Raises:
        InvalidDataError: if it is none of these, damaged, too large, or of another format.
    """
    from PIL import ImageOps

    image = _opened(item, name)
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise InvalidDataError(
            f"{name} must have 1 to {MAX_PIXELS:,} pixels", f"it has {image.width} x {image.height}", _ANOTHER
        )
    try:
        upright = ImageOps.exif_transpose(image)
        upright.info.pop("transparency", None)  # Pillow warns before it drops it
        return upright.convert("RGB")
    except Exception as error:  # Pillow raises any kind for a damaged file
        raise _damaged(name, error) from error


def _opened(item: object, name: str) -> "Image":
    from PIL.Image import Image

    if isinstance(item, Image):
        return item
    if isinstance(item, np.ndarray):
        return _of_array(item, name)
    if isinstance(item, bytes):
        return _of_bytes(item, name)
    if isinstance(item, str | Path):
        return _of_bytes(_content(str(item), name), name)
    raise InvalidDataError(
        f"{name} must be a path, the bytes of a file, an image of Pillow, or an array (uint8)",
        f"got a value of type {type(item).__name__}",
        'Send "picture.png" or an image, or a list of these',
    )


def _content(path: str, name: str) -> bytes:
    """What a file holds, one byte beyond the limit at most."""
    try:
        if not can_name_a_file(path) or not Path(path).is_file():
            raise InvalidDataError(
                f"{name} must be a file if it is given by its path", f"there is no file {shown(path)}", "Check the path"
            )
        with Path(path).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(
            f"{name} must be a file that can be read", one_line(error, limit=200), "Check the path"
        ) from error


def _of_bytes(content: bytes, name: str) -> "Image":
    from PIL import Image, UnidentifiedImageError

    if len(content) > MAX_BYTES:
        raise InvalidDataError(f"{name} must have at most {MAX_BYTES:,} bytes", "it has more", _ANOTHER)
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InvalidDataError(
            f"{name} must be a file of one of the formats {', '.join(FORMATS)}",
            "it is of another, or damaged",
            _ANOTHER,
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidDataError(f"{name} must have at most {MAX_PIXELS:,} pixels", "it has more", _ANOTHER) from error
    except Exception as error:  # Pillow raises any kind for a damaged file
        raise _damaged(name, error) from error


def _of_array(array: NDArray[Any], name: str) -> "Image":
    from PIL.Image import fromarray

    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS)
    if not is_image or array.dtype != np.uint8 or not array.size:
        raise InvalidDataError(
            f"{name} must be whole numbers 0 to 255 (uint8) of shape (height, width) or (height, width, channels)",
            f"it is an array of {array.dtype} of shape {array.shape}",
            "Send array.astype(numpy.uint8), channels last",
        )
    return fromarray(np.ascontiguousarray(array.squeeze(2) if array.ndim == 3 and array.shape[2] == 1 else array))


def _damaged(name: str, error: Exception) -> InvalidDataError:
    told = one_line(error, limit=120) or type(error).__name__
    return InvalidDataError(f"{name} must be an undamaged file", f"Pillow cannot read it: {told}", _ANOTHER)
