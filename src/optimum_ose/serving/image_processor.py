"""Pixels as a model takes them: what `preprocessor_config.json` says, by Pillow and numpy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UnsupportedModelError
from optimum_ose.serving.images import MAX_PIXELS
from optimum_ose.wording import listed, shown

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
"""Height and width."""
_FILE = "preprocessor_config.json"
_SQUARE = {"Beit", "DeiT", "Pvt", "ViT"}
"""Beginnings of the class names of processors that make a size which is a number alone a square."""
_KINDS = _SQUARE | {"Bit", "CLIP", "ConvNext", "MobileNetV1", "Siglip"}
"""Of all processors that work alike."""
_WITHOUT_CROP = {"ConvNext", "Pvt", "Siglip", "ViT"}
"""Those that do not crop where their file does not say."""
_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize"}
_SETTINGS = {"size", "resample", "crop_size", "rescale_factor", "image_mean", "image_std", "crop_pct"}
_WITHOUT_EFFECT = {"image_processor_type", "feature_extractor_type", "processor_class", "_valid_processor_keys"} | {
    "do_convert_rgb",  # images come as RGB
    "default_to_square",
    "do_reduce_labels",  # of segmentation
    "reduce_labels",
    "return_tensors",
    "device",
    "disable_grouping",
}
_WARPED_FROM = 384
"""Shortest edge from which ConvNext's processor does not crop."""
_NUM_FILTERS = 6
"""Of Pillow, by number."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageProcessor:
    """The steps between an image and the model."""

    resized: Callable[[Size], Size] | None
    """The size that an image of some size gets; None: its own."""
    resample: int
    """Pillow's number of the filter."""
    crops: tuple[Size, ...]
    """Cut out of the middle, one after the other."""
    factor: float | None
    """By which values 0 to 255 are multiplied; None: as they are."""
    normal: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    """Mean and deviation of each channel; None: as they are."""

    def pixels(self, image: "Image", name: str = "An image") -> NDArray[np.float32]:
        """The model's input for one image: (channels, height, width).

        Args:
            image: upright, RGB.
            name: of the image, in messages.

        Raises:
            InvalidDataError: if it is so much longer than wide that it would get too large.
        """
        if self.resized is not None:
            height, width = self.resized((image.height, image.width))
            if height * width > MAX_PIXELS:
                raise InvalidDataError(
                    f"{name} must have at most {MAX_PIXELS:,} pixels when it is resized",
                    f"it would have {width} x {height}",
                    "Crop it to a squarer one",
                )
            image = image.resize((width, height), resample=self.resample)
        values: NDArray[Any] = np.asarray(image)
        for crop in self.crops:
            values = _centered(values, crop)
        if self.factor is not None:
            values = values.astype(np.float64) * self.factor
        values = values.astype(np.float32)
        if self.normal is not None:
            values = (values - self.normal[0]) / self.normal[1]
        return np.ascontiguousarray(values.transpose(2, 0, 1))


def image_processor(settings: Mapping[str, Any]) -> ImageProcessor:
    """The processor that a file describes.

    Args:
        settings: what `preprocessor_config.json` holds.

    Raises:
        UnsupportedModelError: if the processor is another one, or does what is not known here.
        InvalidConfigError: if a value is missing or of the wrong kind.
    """
    kind = _kind(settings)
    steps = {step: _flag(settings, step, kind) for step in _STEPS}
    resized, crops = _resizing(settings, kind) if steps["do_resize"] else (None, ())
    if steps["do_center_crop"]:
        crops += (_crop_size(settings),)
    filters = settings.get("resample") if steps["do_resize"] else 0
    if not (_is_size(filters, least=0) and filters < _NUM_FILTERS):
        raise _refusal("resample", f"the number of a filter of Pillow, 0 to {_NUM_FILTERS - 1}", filters)
    factor = settings.get("rescale_factor") if steps["do_rescale"] else None
    if steps["do_rescale"] and not (_is_number(factor) and factor > 0):
        raise _refusal("rescale_factor", "a positive number", factor)
    return ImageProcessor(
        resized=resized,
        resample=filters,
        crops=crops,
        factor=factor,
        normal=(_channels(settings, "image_mean"), _channels(settings, "image_std")) if steps["do_normalize"] else None,
    )


def _kind(settings: Mapping[str, Any]) -> str:
    """Of which kind the processor is, where all that it does is known."""
    name = str(settings.get("image_processor_type") or settings.get("feature_extractor_type"))
    kind = name.removesuffix("Pil").removesuffix("Fast").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    if kind not in _KINDS:
        raise UnsupportedModelError(
            f"Serving knows the image processors of {', '.join(sorted(_KINDS))}",
            f"{_FILE} names {shown(name)}",
            _OTHERWISE,
        )
    known = _STEPS | _SETTINGS | _WITHOUT_EFFECT
    known -= set() if kind == "ConvNext" else {"crop_pct"}
    unknown = sorted(key for key, value in settings.items() if key not in known and value not in (None, False))
    if settings.get("data_format") == "channels_first":
        unknown.remove("data_format")
    if unknown:
        raise UnsupportedModelError(
            f"Serving knows what {_FILE} says of size, crop, scale and normalization",
            f"it also has {listed(unknown)}",
            _OTHERWISE,
        )
    return kind


_OTHERWISE = "Use transformers' pipeline instead"


def _flag(settings: Mapping[str, Any], step: str, kind: str) -> bool:
    value = settings.get(step, False if step == "do_center_crop" and kind in _WITHOUT_CROP else None)
    if not isinstance(value, bool):
        raise _refusal(step, "true or false", value)
    return value


def _resizing(settings: Mapping[str, Any], kind: str) -> tuple[Callable[[Size], Size], tuple[Size, ...]]:
    """What size an image gets, and what is cut out of it."""
    size = _size(settings, "size")
    if kind != "ConvNext":
        if isinstance(size, tuple):
            return lambda _: size, ()
        edge = settings.get("size")
        is_square = isinstance(edge, int) and settings.get("default_to_square", kind in _SQUARE)
        return (lambda _: (size, size)) if is_square else (lambda given: _with_shortest_edge(given, size)), ()
    if isinstance(size, tuple):
        raise _refusal("size", "an object with shortest_edge", settings["size"])
    if size >= _WARPED_FROM:
        return lambda _: (size, size), ()
    part = settings.get("crop_pct")
    if not (_is_number(part) and 0 < part <= 1):
        raise _refusal("crop_pct", "a number above 0 and at most 1", part)
    return lambda given: _with_shortest_edge(given, int(size / part)), ((size, size),)


def _with_shortest_edge(given: Size, edge: int) -> Size:
    height, width = given
    longest = int(edge * max(given) / min(given))
    return (longest, edge) if width <= height else (edge, longest)


def _size(settings: Mapping[str, Any], key: str) -> Size | int:
    """Height and width, or a number alone."""
    value = settings.get(key)
    sides = {name: side for name, side in value.items() if side is not None} if isinstance(value, dict) else {}
    if set(sides) == {"height", "width"} and all(map(_is_size, sides.values())):
        return sides["height"], sides["width"]
    edge = sides.get("shortest_edge") if set(sides) == {"shortest_edge"} else value
    if _is_size(edge):
        return int(edge)
    raise _refusal(key, f"whole numbers up to {MAX_PIXELS} named height and width, or shortest_edge", value)


def _crop_size(settings: Mapping[str, Any]) -> Size:
    size = _size(settings, "crop_size")
    if isinstance(size, tuple):
        return size
    if isinstance(settings["crop_size"], int):
        return size, size
    raise _refusal("crop_size", "an object with height and width", settings["crop_size"])


def _channels(settings: Mapping[str, Any], key: str) -> NDArray[np.float32]:
    value = settings.get(key)
    numbers = value if isinstance(value, list) else [value] * 3
    if len(numbers) != 3 or not all(map(_is_number, numbers)) or (key == "image_std" and 0 in numbers):
        raise _refusal(key, "a number for each of three channels", value)
    return np.array(numbers, dtype=np.float32)


def _centered(values: NDArray[Any], size: Size) -> NDArray[Any]:
    """The middle of an image (height, width, channels); where it is too small, zeros around it."""
    missing = [max(0, wanted - given) for wanted, given in zip(size, values.shape, strict=False)]
    before = [(gap + 1) // 2 for gap in missing]
    starts = [(given - wanted) // 2 + lead for wanted, given, lead in zip(size, values.shape, before, strict=False)]
    if any(missing):
        around = [(lead, gap - lead) for lead, gap in zip(before, missing, strict=True)]
        values = np.pad(values, (*around, (0, 0)))
    return values[starts[0] : starts[0] + size[0], starts[1] : starts[1] + size[1]]


def _is_size(value: object, least: int = 1) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_PIXELS


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _refusal(key: str, wanted: str, value: object) -> InvalidConfigError:
    came = "it is missing" if value is None else f"it is {shown(value)}"
    return InvalidConfigError(f"{key} in {_FILE} must be {wanted}", came, "Export the model again")
