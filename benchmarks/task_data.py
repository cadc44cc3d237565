"""Data sets of `benchmarks/tasks.py` in the form that `ose run` takes; subsets are the first rows of a file."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
"""Folders of snips, and the splits that they are."""


def snips(data: Path, folder: Path, rows: int | None) -> Path:
    """Words with their tags, and the intent of the whole, as jsonl."""
    folder.mkdir(parents=True)
    for source, split in SPLITS.items():
        names = ("seq.in", "seq.out", "label")
        columns = [(data / "snips" / source / name).read_text(encoding="utf-8").splitlines() for name in names]
        limit = rows if split == "train" else None
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as stream:
            for words, tags, label in islice(zip(*columns, strict=True), limit):
                row = {"text": words.strip(), "label": label, "tokens": words.split(), "tags": tags.split()}
                stream.write(json.dumps(row) + "\n")
    return folder


def corpus(data: Path, folder: Path, rows: int | None) -> Path:
    """Sentences of Wikipedia, one a line."""
    folder.mkdir(parents=True)
    with (data / "corpus_en/wikipedia_sentences.txt").open(encoding="utf-8") as stream:
        (folder / "train.txt").write_text("".join(islice(stream, rows)), encoding="utf-8")
    return folder


def documents(data: Path, folder: Path, rows: int | None) -> Path:
    """The documents of a test collection alone, without queries."""
    folder.mkdir(parents=True)
    with (data / "cranfield/corpus.tsv").open(encoding="utf-8") as stream:
        (folder / "train.tsv").write_text("".join(islice(stream, rows and rows + 1)), encoding="utf-8")
    return folder


def digits(_data: Path, folder: Path, _rows: int | None) -> Path:
    """Handwritten digits of 8 x 8 pixels as png files, in the folders of an imagefolder."""
    bunch = load_digits()
    images = (bunch.images * 15.9375).round().astype(np.uint8)
    for split, chosen in {"train": slice(0, 1200), "validation": slice(1200, 1500), "test": slice(1500, None)}.items():
        for number, (image, digit) in enumerate(zip(images[chosen], bunch.target[chosen], strict=True)):
            (folder / split / WORDS[digit]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / split / WORDS[digit] / f"{number}.png")
    return folder


def spoken(data: Path, folder: Path, _rows: int | None) -> Path:
    """Spoken digits with what is said, as an audiofolder with `metadata.csv`."""
    for split in SPLITS.values():
        (folder / split).mkdir(parents=True)
        lines = ["file_name,text"]
        for path in sorted((data / "fsdd" / split).glob("*/*.wav")):
            shutil.copyfile(path, folder / split / path.name)
            lines.append(f"{path.name},{WORDS[int(path.parent.name)]}")
        (folder / split / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def choices(data: Path, folder: Path, rows: int | None, *, names: tuple[str, ...]) -> Path:
    """Questions about snips' requests with their intents as choices, in columns of these names; a single column holds
    them as a list.
    """
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    count = 4 if len(names) == 1 else len(names)
    for source, split in SPLITS.items():
        texts, labels = (
            (data / "snips" / source / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "label")
        )
        intents = sorted(set(labels))
        limit = rows if split == "train" else None
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as stream:
            for text, label in islice(zip(texts, labels, strict=True), limit):
                others = draw.permutation([name for name in intents if name != label])[: count - 1]
                order = draw.permutation([label, *others]).tolist()
                stream.write(json.dumps(_question(text.strip(), order, order.index(label), names)) + "\n")
    return folder


def _question(text: str, order: list[str], answer: int, names: tuple[str, ...]) -> dict[str, object]:
    """As RACE has it (options in a list, a letter) or as COPA has it (a column for each choice, a number)."""
    spoken_choices = [
        "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name) for name in order
    ]
    if len(names) == 1:
        question = {"article": text, "question": "What does the person want?"}
        return {**question, names[0]: spoken_choices, "answer": "ABCD"[answer]}
    columns = dict(zip(names, spoken_choices, strict=True))
    return {"premise": text, "question": "effect", **columns, "label": answer}


def race_shaped(data: Path, folder: Path, rows: int | None) -> Path:
    """Four options in a list."""
    return choices(data, folder, rows, names=("options",))


def copa_shaped(data: Path, folder: Path, rows: int | None) -> Path:
    """Two choices in columns."""
    return choices(data, folder, rows, names=("choice1", "choice2"))


MAKERS: Mapping[str, Callable[[Path, Path, int | None], Path]] = {
    "snips": snips,
    "corpus_en": corpus,
    "documents": documents,
    "digits": digits,
    "spoken": spoken,
    "race": race_shaped,
    "copa": copa_shaped,
}
"""Name -> what writes the data set, given the folder of all data, its own, and the number of training rows."""


def dataset(name: str, data: Path, work: Path, rows: int | None) -> Path:
    """Where a data set lies: made if it must be, else as it came."""
    if name not in MAKERS:
        return data / name
    folder = work / "data" / (name if rows is None else f"{name}-{rows}")
    if not folder.is_dir():
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        MAKERS[name](data, unfinished, rows)
        unfinished.rename(folder)
    return folder


def corpus_lines(data: Path, count: int) -> Iterator[str]:
    """The last lines of the corpus: teachers learn from others than students are judged by."""
    with (data / "corpus_en/wikipedia_sentences.txt").open(encoding="utf-8") as stream:
        yield from (line.strip() for line in stream.readlines()[-count:])
