"""Rows give the same texts and labels whatever file or data set holds them; labels stay the text that they were."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_file, read_lines
from optimum_ose.data.splits import Splits, make_splits
from optimum_ose.data.tables import named_table
from optimum_ose.exceptions import InvalidDataError

Rows = Sequence[tuple[str, str]]
KINDS = ("csv", "semicolons.csv", "tsv", "json", "jsonl", "parquet", "dataset")
ODD = "a b\u2028\u0085\x0b\x0c\x1c\x1d\u00a0\u3000'#;,|é汉😀\\"
TEXTS = st.text(st.sampled_from(ODD), min_size=1, max_size=12).filter(lambda text: text.strip() == text)
LABELS = st.text(st.sampled_from("0127eE.+-_ atrueé²"), min_size=1, max_size=6).filter(
    lambda name: name.strip() == name
)
SINGLE = Columns(kind="class")


def table_from(rows: Rows, kind: str, folder: Path) -> pd.DataFrame:
    """The rows written as a kind of file, and read again."""
    path = folder / f"rows.{kind}"
    records = [{"text": text, "label": label} for text, label in rows]
    if kind == "dataset":
        return named_table(Dataset.from_list(records))
    if kind.endswith("csv"):
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, delimiter=";" if "semicolons" in kind else ",").writerows([("text", "label"), *rows])
    elif kind == "tsv":
        lines = [f"{text}\t{label}" for text, label in [("text", "label"), *rows]]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    elif kind == "parquet":
        pa.parquet.write_table(pa.Table.from_pylist(records), path)
    else:
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        content = "\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]"
        path.write_text(content, encoding="utf-8", newline="")
    return read_file(path)


def split(rows: Rows, kind: str, folder: Path) -> Splits:
    return make_splits({"train": table_from(rows, kind, folder)}, SINGLE, seed=0)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=15)
@given(texts=st.lists(TEXTS, min_size=4, max_size=8, unique=True), labels=st.lists(LABELS, min_size=2, max_size=2))
def test_every_kind_of_file_gives_the_texts_and_labels_that_it_holds(
    kind: str, texts: list[str], labels: list[str]
) -> None:
    rows = [(text, labels[number % 2]) for number, text in enumerate(texts)]
    with TemporaryDirectory() as folder:
        found = table_from(rows, kind, Path(folder))
    assert list(found[["text", "label"]].itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names",
    [
        ("007", "07", "7"),
        ("1", "1.0", "1e0"),
        ("1000", "1e3", "2"),
        ("1.1", "1.10", "1.2"),
        ("False", "false", "true"),
        ("9007199254740992", "9007199254740993", "1.5"),
        ("9" * 5000, "1", "2"),
        ("+1", "--1", "²"),
        ("NA", "None", "nan"),
        ("No", "YES", "yes"),
        ("2024-01-01", "2024-01-02", "2024-1-1"),
        ("a\u2028b", "a\u0085b", "ab"),
    ],
)
def test_labels_stay_the_text_that_they_were(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    rows = [(f"row {number}", names[number % len(names)]) for number in range(60)]
    made = split(rows, kind, tmp_path)
    assert sorted(made.label_names) == sorted(names)
    parts = (made.train, made.validation, made.test)
    assert {row["text"]: made.label_names[row["label"]] for part in parts for row in part} == dict(rows)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("0.5", "1.25", "3"), "number"),
        (("-1.5", "2e-3"), "number"),
        (("1.0", "2.0"), "class"),
        (("007", "0.5"), "class"),
        (("9007199254740993", "1.5"), "class"),
        (("0.5", "a"), "class"),
        (("1_000.5", "2.5"), "class"),
    ],
)
def test_texts_are_numbers_only_where_all_are_and_this_is_said(names: Sequence[str], kind: str, tmp_path: Path) -> None:
    rows = [(f"row {number}", names[number % len(names)]) for number in range(30)]
    made = make_splits({"train": table_from(rows, "csv", tmp_path)}, Columns(), seed=0)
    assert made.kind == kind
    assert any("read as numbers" in warning for warning in made.warnings) == (kind == "number")


@pytest.mark.parametrize("kind", KINDS)
def test_spaces_around_labels_are_removed_and_told(kind: str, tmp_path: Path) -> None:
    rows = [(f"row {number}", ("a", " a", "b ")[number % 3]) for number in range(30)]
    made = split(rows, kind, tmp_path)
    assert made.label_names == ("a", "b")
    assert any("20 labels have spaces around them" in warning for warning in made.warnings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", ["", "  ", "\u00a0", "<NA>", "NaT"])
def test_blank_labels_are_refused_with_their_count(kind: str, blank: str, tmp_path: Path) -> None:
    rows = [(f"row {number}", "ab"[number % 2] if number % 3 else blank) for number in range(30)]
    with pytest.raises(InvalidDataError, match="must hold a class in every row; 10 of 30 rows .* first is row 0"):
        split(rows, kind, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252", "latin-1"])
def test_a_known_encoding_changes_no_text(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    text = "caf\u00e9 \u2026" if encoding != "latin-1" else "caf\u00e9"
    path.write_bytes(f"text,label\n{text},a\n".encode(encoding))
    assert read_file(path)["text"].to_list() == [text]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nx,a\ny,b,c\n", "line 3 has 3 fields separated by commas, the header has 2"),
        ("a.csv", 'text,label\n"x\ny",a\nz\n', "line 4 has 1 fields"),
        ("a.csv", 'text,label\n"x" y,a\n', "begins in line 2: a quoted field goes on behind its closing quote"),
        ("a.csv", 'text,label\nz,a\n"x,a\n' + "y,b\n" * 99, "begins in line 3: a quote is opened and never closed"),
        ("a.csv", "text,label\nx\ry,a\n", "line 2: a carriage return stands in a field without quotes"),
        ("a.csv", "text,text\nx,a\n", "the header names a column twice: text"),
        ("a.tsv", "text,label\nx,a\n", "the header has no tab, but commas"),
        ("a.csv", "text,label\nx\x00y,a\n", "line 2 holds a NUL character"),
        ("a.csv", "text,label\nx,a\n".encode("utf-16-le"), "line 1 holds a NUL character"),
        ("a.csv", b"text,label\n\xc3\xa9,a\n\xe9,b\n", "line 3 is not UTF-8, but 1 other lines are"),
        ("a.csv", b"\x1f\x8b\x08junk", "it is a gzip archive, not text"),
        ("a.csv", b"PAR1junk", "it is a parquet file, not text"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        ("a.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        ("a.parquet", "junk", "well-formed parquet file; reading it failed"),
        ("a.json", '{"text": ["a", "b"], "label": ["x", "y"]}', "one object of whole columns"),
        ("a.json", '{"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}}', "one object of whole columns"),
        ("a.json", '[["a", "x"]]', "row 0 is no object"),
        ("a.jsonl", '{"text": "a"}\n"b"\n', "line 2 is no object"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "line 2: "),
        ("a.jsonl", '{"text": "a", "text": "b"}\n', "holds 'text' twice"),
        ("a.jsonl", "[" * 200_000, "nested too deeply|Expecting value"),
        (
            "a.jsonl",
            '{"text": "a", "label": %s}\n' % ("9" * 5000),
            "line 1: .* thousands of digits; write it as a text",
        ),
        ("a.json", '[{"text": "a", "label": %s}]' % ("9" * 5000), "thousands of digits; write it as a text, in quotes"),
        ("a.txt", "__label__a __label__b text\n", "line 1 has several labels"),
        ("a.conll", "the O\ncat\n", "line 2 is not `word tag`"),
        ("a.conll", "the\tO\nNew York\nLA\tO\n", "line 2 is not `word tag`"),
        ("a.conll", "the O\nNew York B-loc\n", "line 2 has 3 columns, others have 2"),
        ("a.conll", "the\tO\n\tO\n", "line 2 has a tag, but no word"),
        ("a.conll", "1\tthe\tx\tO\n2\tcat\tx\tO\n", "it holds their numbers, as in CoNLL-U"),
        ("rows.csv.gz", b"\x1f\x8b", "must end in one of .*; got rows.csv.gz"),
    ],
)
def test_a_damaged_file_is_refused_with_its_fault(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidDataError, match=message) as found:
        read_file(path)
    assert len(str(found.value)) < 1_200


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": ["a"] * 99, "label": "b"}).to_parquet(path)
    content = path.read_bytes()
    for size in (4, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InvalidDataError, match="well-formed parquet file"):
            read_file(path)


def test_a_json_file_may_hold_lines_and_a_jsonl_file_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"0": "x", "1": 18446744073709551617}\n\n{"0": "y"}\n')
    (tmp_path / "a.jsonl").write_text('[{"0": "x", "1": 18446744073709551617},\n {"0": "y"}]')
    for name in ("a.json", "a.jsonl"):
        assert read_file(tmp_path / name).to_dict("list") == {"0": ["x", "y"], "1": [2**64 + 1, None]}


def test_columns_with_numeric_names_can_be_chosen(tmp_path: Path) -> None:
    lines = [json.dumps({"0": f"row {number}", "1": "ab"[number % 2]}) for number in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    made = make_splits({"train": read_file(tmp_path / "a.jsonl")}, Columns(text="0", label="1"), seed=0)
    assert made.label_names == ("a", "b")


def test_a_file_of_old_line_ends_and_a_spreadsheets_first_line_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\rx,a\r\ry,b\r")
    assert read_file(path)["text"].to_list() == ["x", "y"]
    path.write_bytes(b'sep=;\r\n"text";"label"\r\n"x; y";a\r\n')
    assert read_file(path)["text"].to_list() == ["x; y"]


@pytest.mark.parametrize(
    ("content", "words", "tags"),
    [
        ("# sent_id = 1\n# text = the cat\nthe\tO\ncat\tB-x\n", ["the", "cat"], ["O", "B-x"]),
        ("# newdoc\nthe O\n# O\n#1 O\n", ["the", "#", "#1"], ["O", "O", "O"]),
        ("-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\n", ["EU"], ["B-ORG"]),
        ("the\tO\n10\u00a0000\tB-n\nNew York\tB-l\n", ["the", "10\u00a0000", "New York"], ["O", "B-n", "B-l"]),
        ("the  O\na\u2028b   B-x\r\n", ["the", "a\u2028b"], ["O", "B-x"]),
    ],
)
def test_words_and_comments_of_conll_are_told_apart(
    tmp_path: Path, content: str, words: list[str], tags: list[str]
) -> None:
    path = tmp_path / "a.conll"
    path.write_text(content, encoding="utf-8", newline="")
    assert read_file(path).to_dict("records") == [{"tokens": words, "tags": tags}]


def test_unlabeled_lines_are_cut_at_line_ends_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\u2028b\x0cc\r\nd\u0085e\n", encoding="utf-8", newline="")
    assert read_lines(path) == ["a\u2028b\x0cc", "d\u0085e"]
    path.rename(tmp_path / "a.jsonl")
    with pytest.raises(InvalidDataError, match="a.jsonl is a file of columns"):
        read_lines(tmp_path / "a.jsonl")
