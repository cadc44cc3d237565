"""A folder of a model of images: its session and its image processor, tried together."""

from pathlib import Path
from typing import Any

import numpy as np

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.serving.folder import read_object
from optimum_ose.serving.image_model import INPUT, ImageModel, image_size, require_outputs
from optimum_ose.serving.image_processor import image_processor
from optimum_ose.serving.images import require_pillow
from optimum_ose.serving.runner import open_session
from optimum_ose.serving.served_task import ServedTask
from optimum_ose.serving.trial import check_output


def load_image_model(
    folder: Path, model_path: Path, task: ServedTask, name: str, *, config: dict[str, Any], num_threads: int | None
) -> ImageModel:
    """Open the session and the image processor, and let them answer an image.

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
        UnsupportedModelError: if images are made ready in an unknown way.
        MissingDependencyError: if Pillow is not installed.
    """
    require_pillow()
    processor = image_processor(read_object(folder, "preprocessor_config.json"))
    session = open_session(model_path, num_threads, known_inputs=frozenset({INPUT}))
    require_outputs(session, model_path.name)
    model = ImageModel(config=config, processor=processor, session=session)
    try:
        (row,) = model.rows([np.zeros((*image_size(config), 3), dtype=np.uint8)], batch_size=1)
    except InvalidDataError as error:
        raise InvalidConfigError(
            f"{model_path.name} must compute an image that preprocessor_config.json makes ready",
            error.actual,
            "Export the model again",
        ) from error
    check_output(row[None], task, name, config, file=model_path.name)
    return model
