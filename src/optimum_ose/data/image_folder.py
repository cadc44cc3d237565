"""Data sets of images, from folders or tables."""

from io import BytesIO

from datasets import Dataset, Image

from optimum_ose.data.media import Medium, media_splits
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import Splits
from optimum_ose.preprocessing import IMAGE
from optimum_ose.serving.images import require_pillow

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def image_splits(request: DataRequest) -> Splits:
    """Splits with the columns `image`, of the feature `datasets.Image`, and `label`.

    Raises:
        InvalidDataError: if there are no images that can be read, or they have no labels.
        MissingDependencyError: if Pillow is not installed.
    """
    require_pillow()
    return media_splits(request, _IMAGES)


def _check(content: bytes) -> None:
    from PIL import Image as Pillow

    with Pillow.open(BytesIO(content)) as image:
        image.verify()


def _as_images(rows: Dataset) -> Dataset:
    return rows.cast_column(IMAGE, Image())


_IMAGES = Medium(
    name=IMAGE,
    usual_columns=("image", "img", "picture", "photo", "file_name", "path"),
    suffixes=_SUFFIXES,
    check=_check,
    features=_as_images,
)
