"""Every kind of local file becomes the same table; what cannot be read is refused in three parts."""

from pathlib import Path

import pandas as pd
import pytest

from optimum_ose.data.media_folder import read_media_folder
from optimum_ose.data.reading import read_file, read_tables
from optimum_ose.data.text_lines import line_splits
from optimum_ose.exceptions import InvalidDataError

TABLE = pd.DataFrame({"text": ["one row", 'a "quoted" row', "None", "caf\u00e9"], "label": ["a", "b", "a", "b"]})


@pytest.fixture(params=["csv", "tsv", "json", "jsonl", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"rows.{request.param}"
    if request.param == "csv":
        TABLE.to_csv(path, index=False)
    elif request.param == "tsv":
        path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in TABLE.to_numpy()))
    elif request.param == "parquet":
        TABLE.to_parquet(path)
    else:
        TABLE.to_json(path, orient="records", lines=request.param == "jsonl")
    return path


def test_every_kind_of_file_gives_the_same_table(file: Path) -> None:
    found = read_file(file)
    assert found[["text", "label"]].to_numpy().tolist() == TABLE.to_numpy().tolist()


def test_labeled_lines_give_coarse_and_fine_labels(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes("DESC:manner How did it end ?\n__label__x caf\u00e9 au lait\n".encode("latin-1"))
    found = read_file(path)
    assert found["label"].to_list() == ["DESC", "x"]
    assert found["fine_label"].to_list() == ["DESC:manner", "x"]
    assert found["text"].to_list() == ["How did it end ?", "caf\u00e9 au lait"]


def test_latin_1_is_read_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("text,label\ncaf\u00e9,a\n".encode("latin-1"))
    assert read_file(path)["text"].to_list() == ["caf\u00e9"]
    assert "Latin-1" in caplog.text


def test_a_folder_gives_its_splits_under_any_usual_name(tmp_path: Path) -> None:
    for name in ("train.csv", "dev.csv", "test.csv"):
        TABLE.to_csv(tmp_path / name, index=False)
    (tmp_path / "LICENSE").write_text("free")
    assert sorted(read_tables(str(tmp_path))) == ["test", "train", "validation"]


def test_splits_can_be_named(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "a.csv", index=False)
    TABLE[:2].to_csv(tmp_path / "b.csv", index=False)
    found = read_tables(str(tmp_path), split_names={"train": "a", "validation": None, "test": "b"})
    assert {split: len(table) for split, table in found.items()} == {"train": 4, "test": 2}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "must hold at least one row; it is empty"),
        ("header.csv", "text,label\n", "must hold at least one row; it holds none"),
        ("rows.xlsx", "x", "A data file must end in one of .*; got rows.xlsx"),
        ("broken.json", '[{"text": ', "must be a well-formed json file"),
        ("lines.txt", "label\n", "must be a well-formed txt file; .*line 1 is not `label text`"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidDataError, match=message):
        read_file(tmp_path / name)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="must name a file, a folder or a Hub id; ./nowhere.csv does not exist"):
        read_tables("./nowhere.csv")


def test_an_unknown_hub_id_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="the Hub did not give it"):
        read_tables("nobody/nothing")


def test_a_folder_without_train_is_refused(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(InvalidDataError, match=r"must hold a file train\.\* .*it holds rows.csv"):
        read_tables(str(tmp_path))


def test_two_files_of_one_name_are_refused_and_other_names_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train.csv", "validation.csv", "dev.csv"):
        TABLE.to_csv(tmp_path / name, index=False)
    assert sorted(read_tables(str(tmp_path))) == ["train", "validation"]
    assert "validation.csv is read for validation; not read: dev.csv" in caplog.text
    TABLE.to_json(tmp_path / "train.jsonl", orient="records", lines=True)
    with pytest.raises(InvalidDataError, match=r"must hold one file train\.\*; it holds train.csv, train.jsonl"):
        read_tables(str(tmp_path))


def test_capital_ends_of_names_are_known(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "train.CSV", index=False)
    assert len(read_tables(str(tmp_path))["train"]) == len(TABLE)


@pytest.mark.parametrize("source", ["", "x" * 5_000, "./nowhere.csv", "/nowhere", "a\x00b"])
def test_what_is_no_path_is_refused(source: str) -> None:
    with pytest.raises(InvalidDataError, match="must name a file, a folder or a Hub id") as found:
        read_tables(source)
    assert len(str(found.value)) < 1_200


def test_a_damaged_folder_of_save_to_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(InvalidDataError, match="one that `save_to_disk` of datasets has written"):
        read_tables(str(tmp_path))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_name_of_a_split_is_refused_where_there_is_one_file(split: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    with pytest.raises(
        InvalidDataError, match="Splits can be named only where there are several; .* foo was asked for"
    ):
        read_tables(str(tmp_path / "rows.csv"), split_names={split: "foo"})


def test_a_file_that_is_named_for_one_split_is_not_taken_for_another(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name},a\n")
    assert set(read_tables(str(tmp_path))) == {"train", "validation"}
    found = read_tables(str(tmp_path), split_names={"test": "dev"})
    assert {split: list(table["text"]) for split, table in found.items()} == {"train": ["train"], "test": ["dev"]}
    both = read_tables(str(tmp_path), split_names={"validation": "dev", "test": "dev"})
    assert set(both) == {"train", "validation", "test"}


def test_the_same_holds_of_plain_text_and_of_folders_of_files(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n")
        (tmp_path / name / "cat").mkdir(parents=True)
        (tmp_path / name / "cat" / "1.png").write_bytes(name.encode())
    lines = line_splits(str(tmp_path), {"train": None, "validation": None, "test": "dev"})
    assert lines is not None
    assert set(lines) == {"train", "test"}
    assert set(read_media_folder(tmp_path, "image", (".png",), {"test": "dev"})) == {"train", "test"}
