"""An exported tiny classifier, the transformers pipeline that it must equal, and tiny folders of other tasks."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from export.tiny_text import save, tiny_classifier, tiny_tokenizer
from optimum_ose.export.onnx_export import export_onnx


@pytest.fixture(scope="session")
def model() -> PreTrainedModel:
    labels = {0: "negative", 1: "neutral", 2: "positive"}
    return tiny_classifier(id2label=labels, label2id={name: index for index, name in labels.items()})


@pytest.fixture(scope="session")
def folder(model: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder, to be read only."""
    path = save(model, tmp_path_factory.mktemp("served"))
    export_onnx(model, tiny_tokenizer(), path)
    return path


@pytest.fixture(scope="session")
def folder_of(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives an exported folder for a task, to be read only."""
    from serving.served_folders import MAKERS

    @cache
    def make(task: str) -> Path:
        return folder if task == "text-classification" else MAKERS[task](tmp_path_factory.mktemp(task))

    return make
