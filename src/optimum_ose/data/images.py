"""Makes rows of images, labeled as the teacher's head is; each image is processed when its batch is made."""

from datasets import Dataset, Image
from transformers import PretrainedConfig

from optimum_ose.data.labels import align_labels, row_labels, with_names
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.preprocessing import IMAGE


def image_rows(dataset: Dataset, config: PretrainedConfig | None, *, needs_labels: bool = True) -> Dataset:
    """Rows with the columns `image` and `labels`; such rows are returned as they are.

    Args:
        dataset: with the columns `image`, of the feature `datasets.Image` or of arrays of whole numbers 0 to 255
            (dtype uint8, shape (height, width) or (height, width, channels)), and `label`.
        config: of a teacher whose head is trained; classes get its numbers. None: they keep their own.
        needs_labels: whether rows must have a label; else one that is there is kept.

    Raises:
        InvalidDataError: if the columns are others, or the classes are not the teacher's.
    """
    columns = set(dataset.column_names)
    if {IMAGE, "labels"} <= columns:
        return dataset
    if not ({IMAGE, "label"} if needs_labels else {IMAGE}) <= columns:
        raise InvalidDataError(
            f"A data set of images must have the column{'s image and label' if needs_labels else ' image'}",
            f"it has {', '.join(dataset.column_names)}",
            "Rename its columns",
        )
    _require_pixels(dataset)
    if "label" not in columns:
        return dataset.select_columns([IMAGE])
    # Beside another column, but not beside the images, which a cast of the labels would copy.
    labels = dataset.select_columns(["label"]).add_column("row", list(range(len(dataset))))
    labels = align_labels(labels, config) if config is not None else with_names(labels)
    return dataset.select_columns([IMAGE]).add_column("labels", row_labels(labels))


def _require_pixels(dataset: Dataset) -> None:
    feature = dataset.features[IMAGE]
    inner = feature
    while hasattr(inner, "feature"):
        inner = inner.feature
    is_array = inner is not feature or hasattr(feature, "shape")
    if not isinstance(feature, Image) and not (is_array and getattr(inner, "dtype", None) == "uint8"):
        raise InvalidDataError(
            "Column 'image' must hold images: the feature datasets.Image, or arrays of whole numbers 0 to 255 (uint8)",
            f"its feature is {feature}",
            "Cast it: dataset.cast_column('image', datasets.Image()) takes paths, bytes and arrays",
        )
