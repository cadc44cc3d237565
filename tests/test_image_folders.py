"""Data sets of images as the field has them: folders of classes, metadata beside the files, tables of paths."""

import logging
import shutil
from pathlib import Path

import pandas as pd
import pytest
from datasets import load_dataset
from PIL import Image

from digits import NAMES, digits, save, trained_vit
from optimum_ose.data.columns import Columns
from optimum_ose.data.request import DataRequest
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serialization import read_json
from optimum_ose.serving import OnnxPipeline
from optimum_ose.tasks.parts.images import IMAGES
from runs import run

SPLITS = {"train": range(600), "validation": range(1200, 1320), "test": range(1400, 1500)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """split/class/number.png"""
    images, classes = digits()
    found = tmp_path_factory.mktemp("digits")
    for split, rows in SPLITS.items():
        for row in rows:
            path = found / split / NAMES[classes[row]] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[row]).save(path)
    return found


def test_a_folder_of_images_is_read_as_imagefolder_reads_it(folder: Path) -> None:
    splits = IMAGES.read(DataRequest(source=str(folder)))
    expected = load_dataset("imagefolder", data_dir=str(folder))
    for split in SPLITS:
        rows = getattr(splits, split)
        names = [splits.label_names[label] for label in rows["label"]]
        found = sorted(zip(names, (image.tobytes() for image in rows["image"]), strict=True))
        theirs = expected[split]
        named = theirs.features["label"].int2str(theirs["label"][:])
        assert found == sorted(zip(named, (image.tobytes() for image in theirs["image"]), strict=True))


def test_one_command_reads_a_folder_of_images(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, out = save(trained_vit(), tmp_path / "vit"), tmp_path / "out"
    words = ["run", "--model", teacher, "--task", "image-classification", "--dataset", folder, "--output", out]
    config = tmp_path / "config.yaml"
    config.write_text("search: {max_training_steps: 2, max_evaluations: 3}\ndistillation: {num_steps: 30}\n")
    run(monkeypatch, [str(word) for word in (*words, "--config", config)])
    benchmark = read_json(out / "ose" / "benchmark.json")
    pipeline = OnnxPipeline.from_pretrained(out, file_name="onnx/model.onnx")
    rows = IMAGES.read(DataRequest(source=str(folder))).test
    found = pipeline(rows["image"][:], top_k=1)
    right = [answer[0]["label"] == NAMES[label] for answer, label in zip(found, rows["label"], strict=True)]
    assert benchmark["scores"]["student"]["onnx-fp32"]["accuracy"] == pytest.approx(sum(right) / len(right), abs=0.002)


def test_files_that_cannot_be_read_are_left_out_and_counted(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "digits"))
    first, second, *_ = sorted((copy / "train" / NAMES[3]).iterdir())
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:40])
    (copy / ".DS_Store").write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        splits = IMAGES.read(DataRequest(source=str(copy)))
    assert len(splits.train) == 598
    assert "2 of 600 rows of train are left out: their image cannot be read" in caplog.text


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata_beside_the_files_name_the_labels(folder: Path, tmp_path: Path, name: str) -> None:
    paths = sorted((folder / "train").glob("*/*.png"))[::4]
    table = pd.DataFrame({"file_name": [path.name for path in paths], "label": [path.parent.name for path in paths]})
    for path in paths:
        shutil.copy(path, tmp_path / path.name)
    if name.endswith("csv"):
        table.to_csv(tmp_path / name, index=False)
    else:
        table.to_json(tmp_path / name, orient="records", lines=True)
    splits = IMAGES.read(DataRequest(source=str(tmp_path)))
    assert set(splits.label_names) == set(NAMES)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == len(paths)


def test_a_table_names_files_from_its_own_folder(folder: Path, tmp_path: Path) -> None:
    paths = sorted((folder / "train").glob("*/*.png"))[::4]
    rows = [{"picture": f"files/{path.name}", "digit": path.parent.name} for path in paths]
    (tmp_path / "files").mkdir()
    for path in paths:
        shutil.copy(path, tmp_path / "files" / path.name)
    table = tmp_path / "digits.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    splits = IMAGES.read(DataRequest(source=str(table), columns=Columns(label="digit")))
    assert splits.train["image"][0].size == (8, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: (path / "a.png").write_bytes(b"x"), "must hold a folder for each class"),
        (lambda path: (path / "train").mkdir(), "must hold a file train"),
        (lambda path: _write(path / "train" / "a" / "1.png"), "must hold image files that can be read"),
        (lambda path: _write(path / "test" / "a" / "1.png"), "must hold a folder for each split: train"),
        (lambda path: (path / "train.csv").write_text("a,label\n1,x\n"), "must have a column of image files"),
        (lambda path: (path / "metadata.csv").write_text("a,label\n1,x\n") + _write(path / "1.png"), "file_name"),
    ],
)
def test_a_folder_without_pictures_is_refused(tmp_path: Path, make: object, message: str) -> None:
    make(tmp_path)  # type: ignore[operator]
    with pytest.raises(InvalidDataError, match=message):
        IMAGES.read(DataRequest(source=str(tmp_path)))


def _write(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(b"no image")
