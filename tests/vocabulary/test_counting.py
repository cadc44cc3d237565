"""Tokens are counted as they occur, chunk by chunk, whatever the file's form."""

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.progress import SilentListener
from optimum_ose.vocabulary import corpus as corpus_module
from optimum_ose.vocabulary.corpus import find_corpus
from optimum_ose.vocabulary.counting import count_tokens, in_threads
from vocabulary.made_tokenizers import made_tokenizer, texts


def write(folder: Path, name: str, lines: tuple[str, ...]) -> Path:
    path = folder / name
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    content = "\n".join(lines) + "\n"
    if plain.suffix == ".jsonl":
        content = "".join(json.dumps({"id": index, "text": line}) + "\n" for index, line in enumerate(lines))
    elif plain.suffix == ".csv":
        content = "id,text\n" + "".join(f'{index},"{line}"\n' for index, line in enumerate(lines))
    elif plain.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table({"n": list(range(len(lines))), "text": list(lines)}), path)
        return path
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.jsonl.gz", "a.csv", "a.csv.gz", "a.parquet"])
def test_every_form_of_file_gives_the_same_texts(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, texts())
    assert [text for chunk in find_corpus([path]).chunks() for text in chunk] == list(texts())
    assert find_corpus([tmp_path]).files == (path,)


def test_counts_are_those_of_one_text_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "_CHUNK", 500)
    backend = made_tokenizer("Unigram").backend_tokenizer
    chunks = list(find_corpus([write(tmp_path, "a.txt", texts())]).chunks())
    assert len(chunks) > 10
    found = count_tokens(
        backend, chunks, num_ids=backend.get_vocab_size(), sample_size=7, workers=3, listener=SilentListener()
    )
    expected = Counter(index for text in texts() for index in backend.encode(text, add_special_tokens=False).ids)
    assert {index: int(count) for index, count in enumerate(found.counts) if count} == dict(expected)
    assert (found.num_texts, found.num_tokens) == (len(texts()), expected.total())
    assert len(found.sample) == 7
    assert set(found.sample) <= set(texts())


def test_each_text_is_sampled_with_the_same_chance() -> None:
    backend = made_tokenizer("WordPiece").backend_tokenizer
    lines = [f"{index}" for index in range(40)]
    drawn = Counter(
        text
        for seed in range(200)
        for text in count_tokens(
            backend,
            [lines[:9], lines[9:]],
            num_ids=999,
            sample_size=10,
            seed=seed,
            workers=1,
            listener=SilentListener(),
        ).sample
    )
    assert drawn.total() == 2000
    assert all(20 < drawn[line] < 85 for line in lines)  # 50 each; more than four standard deviations around it


def test_few_chunks_are_read_ahead() -> None:
    read: list[int] = []

    def items() -> object:
        for index in range(100):
            read.append(index)
            yield index

    for item, made in in_threads(lambda number: number * number, items(), workers=2):  # type: ignore[arg-type]
        assert made == item * item
        assert len(read) <= item + 7


def test_a_long_line_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "_LONGEST", 100)
    (tmp_path / "a.txt").write_text("ka lo " * 100)
    pieces = [text for chunk in find_corpus([tmp_path]).chunks() for text in chunk]
    assert max(map(len, pieces)) == 100
    assert "".join(pieces) == "ka lo " * 100


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\xff\xfe\xfa broken", "must be readable, as text in UTF-8"),
        ("a.txt.gz", b"no gzip", "must be readable"),
        ("a.jsonl", b'{"text": "a"}\n{"text"', "must be readable"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "line 2 holds a list"),
        ("a.jsonl", b'{"text": 4}\n', "must hold text; in line 1 it is 4"),
        ("a.jsonl", b'{"other": "a", "b": "c"}\n', "must have a column of text; it has other, b"),
        ("a.csv", b"", "must have a column of text; it has none"),
        ("a.parquet", b"PAR1", "must be readable"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidDataError, match=message):
        list(find_corpus([tmp_path / name]).chunks())


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.txt", "there is no such file"), ("a.pdf", "its name ends in '.pdf'"), (".", "holds no such")],
)
def test_what_is_no_corpus_is_refused(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(InvalidDataError, match=message):
        find_corpus([tmp_path / name])


def test_a_corpus_without_a_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n  \n")
    backend = made_tokenizer("WordPiece").backend_tokenizer
    with pytest.raises(InvalidDataError, match="must hold text with tokens"):
        count_tokens(backend, find_corpus([tmp_path]).chunks(), num_ids=10, listener=SilentListener())


def test_counts_have_a_place_for_each_id() -> None:
    backend = made_tokenizer("BPE with bytes").backend_tokenizer
    found = count_tokens(backend, [["\U0001f600"]], num_ids=backend.get_vocab_size(), listener=SilentListener())
    assert found.counts.shape == (backend.get_vocab_size(),)
    assert np.flatnonzero(found.counts).size >= 4  # the bytes of the character
