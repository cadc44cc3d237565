"""Owns the texts without labels that `students.py --unlabeled` was given: short texts of all sources at hand.

Wikipedia, dialogues and text messages, then the training texts of six data sets; labels are dropped. Texts that come
again, and those that stand in the development or test rows, are left out by whoever reads the file.

    python benchmarks/texts.py --data ../shared/data --output texts.txt
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from optimum_ose.serialization import write_atomic

MIN_LENGTH = 9
"""Bytes of a training text in UTF-8."""
MIN_WORDS = 12
"""Words of a row of sst2, most of which are parts of others."""


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds corpus_en/ and so on")
    parser.add_argument("--output", type=Path, required=True, help="text file, one text a line")
    options = parser.parse_args()
    training = {text for text in _training_texts(options.data) if len(text.encode()) >= MIN_LENGTH}
    texts = [*_corpus(options.data), *sorted(training)]
    write_atomic(options.output, "".join(f"{text}\n" for text in texts))
    print(f"{len(texts)} texts in {options.output}")


def _corpus(data: Path) -> Iterator[str]:
    for name in ("wikipedia_sentences", "sgd_dialogue_turns"):
        yield from _lines(data / f"corpus_en/{name}.txt")
    yield from _columns(data / "sms_spam/SMSSpamCollection", [1])


def _training_texts(data: Path) -> Iterator[str]:
    yield from _lines(data / "snips/train/seq.in")
    yield from (line.split(" ", 1)[1] for line in _lines(data / "trec6/train.txt", encoding="latin-1"))
    yield from _columns(data / "rte/train.tsv", [1, 2], num_header_lines=1)
    yield from _columns(data / "stsb/sts-train.csv", [5, 6])
    yield from (
        text for text in _columns(data / "sst2/train.tsv", [0], num_header_lines=1) if len(text.split()) >= MIN_WORDS
    )
    yield from (text for text, _ in json.loads((data / "clinc150/data_full.json").read_text("utf-8"))["train"])


def _lines(path: Path, *, encoding: str = "utf-8") -> list[str]:
    return path.read_text(encoding).removesuffix("\n").split("\n")


def _columns(path: Path, columns: list[int], *, num_header_lines: int = 0) -> list[str]:
    cells = [line.split("\t") for line in _lines(path)[num_header_lines:]]
    return [row[column] for row in cells for column in columns]


if __name__ == "__main__":
    main()
