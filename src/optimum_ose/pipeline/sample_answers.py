"""What the exported student answers to a few rows of the test split, beside what they are labeled with."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks import task_named

_NUM_EXAMPLES = 3


def sample_answers(folder: Path, file_name: str, rows: Dataset, *, task: str) -> list[dict[str, Any]]:
    """Answers to the first rows of a data set.

    Args:
        folder: the exported model.
        file_name: ONNX file, relative to it.
        rows: raw rows with labels.
        task: of the rows.

    Returns:
        What `Inputs.samples` gives; nothing of rows without the task's columns.
    """
    chosen = rows.select(range(min(_NUM_EXAMPLES, len(rows))))
    return task_named(task).inputs.samples(OnnxPipeline.from_pretrained(folder, file_name=file_name), chosen)
