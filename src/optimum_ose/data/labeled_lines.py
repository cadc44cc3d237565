"""Reads text files with a row, or a word, a line: `label text`, and CoNLL."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from optimum_ose.data.decoding import split_lines
from optimum_ose.data.tables import UNTYPED, table_of
from optimum_ose.wording import listed, shown

_LOGGER = logging.getLogger(__name__)
_BLANKS = re.compile("[ \t]+")
"""What separates columns. Other spaces of Unicode, such as U+00A0, belong to a word."""
_USUAL_TAG = re.compile(r"O|[BIESLUM]-.+")
_SETTING = re.compile(r"#\s*[\w.]+\s*=")
_FASTTEXT = "__label__"


def parse_labeled_lines(text: str) -> pd.DataFrame:
    """`label text` lines, as in TREC ("coarse:fine text") and fastText ("__label__x text").

    Raises:
        ValueError: if a line has no text, or several fastText labels.
    """
    pairs: list[list[str]] = []
    for number, line in enumerate(split_lines(text), start=1):
        pair = _BLANKS.split(line.strip(" \t"), maxsplit=1)
        if pair == [""]:
            continue
        if len(pair) < 2:
            raise ValueError(f"line {number} is not `label text`")
        if pair[0].startswith(_FASTTEXT) and pair[1].startswith(_FASTTEXT):
            raise ValueError(f"line {number} has several labels; write a jsonl file with a list of labels in each row")
        pairs.append(pair)
    fine = [label.removeprefix(_FASTTEXT) for label, _ in pairs]
    coarse = [label.partition(":")[0] for label in fine]
    if cut := sorted({label for label in fine if ":" in label}):
        _LOGGER.warning(
            "labels are read up to their colon, as %s of %s; the whole label is in the column fine_label",
            shown(cut[0].partition(":")[0]),
            shown(cut[0]),
        )
    columns = {"fine_label": fine, "text": [text for _, text in pairs], "label": coarse}
    return table_of(columns, **{UNTYPED: True})


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    parts: Sequence[str]


def parse_tagged_words(text: str) -> pd.DataFrame:
    """One word a line, its tag last; a blank line or -DOCSTART- ends a sentence.

    Columns are separated by tabs, and words may then hold spaces; or by spaces. Comments, lines that begin with # and
    are no word with a tag, are skipped and counted in the log.

    Raises:
        ValueError: if a line has no word or no tag, or other lines have more or fewer columns.
    """
    lines = _columns(split_lines(text))
    plain = [line for line in lines if line.parts and not _is_marked(line)]
    width = len(plain[0].parts) if plain else 2
    tags = {line.parts[-1] for line in plain}
    comments = [line for line in lines if line.parts and _is_comment(line, width, tags)]
    skipped = {line.number for line in comments}
    if comments:
        _LOGGER.warning("%d comment lines are skipped; the first is line %d", len(comments), comments[0].number)
    sentences: list[list[Sequence[str]]] = [[]]
    for line in lines:
        if line.number in skipped:
            continue
        if line.parts and not line.parts[0].startswith("-DOCSTART-"):
            _require_columns(line, width)
            sentences[-1].append(line.parts)
        elif sentences[-1]:
            sentences.append([])
    kept = [sentence for sentence in sentences if sentence]
    _require_words_first(kept, width)
    return table_of(
        {
            "tokens": [[parts[0] for parts in sentence] for sentence in kept],
            "tags": [[parts[-1] for parts in sentence] for sentence in kept],
        }
    )


def _columns(lines: Sequence[str]) -> list[_Line]:
    """Each line in its columns; a blank line has none."""
    stripped = [line.strip(" \t") for line in lines]
    filled = [line for line in lines if line.strip(" \t") and not line.startswith("#")]
    tabbed = [line for line in filled if "\t" in line]
    has_spaces = any(" " in part.strip(" ") for line in tabbed for part in line.split("\t"))
    by_tabs = has_spaces or len(tabbed) * 2 >= len(filled) > 0
    found = []
    for number, (line, content) in enumerate(zip(lines, stripped, strict=True), start=1):
        parts = [part.strip(" ") for part in line.split("\t")] if by_tabs else _BLANKS.split(content)
        found.append(_Line(number, parts if content else ()))
    return found


def _is_marked(line: _Line) -> bool:
    return line.parts[0].startswith(("#", "-DOCSTART-"))


def _is_comment(line: _Line, width: int, tags: set[str]) -> bool:
    """Whether a line that begins with # is no word with a tag."""
    first, tag = line.parts[0], line.parts[-1]
    is_word_alone = len(line.parts) == 1 and first != "#" and " " not in first
    if not first.startswith("#") or is_word_alone:
        return False
    if len(line.parts) != width or _SETTING.match(" ".join(line.parts)):
        return True
    return first == "#" and not (tag in tags or tag == "#" or _USUAL_TAG.fullmatch(tag))


def _require_columns(line: _Line, width: int) -> None:
    if len(line.parts) < 2 or not line.parts[-1]:
        raise ValueError(f"line {line.number} is not `word tag`")
    if not line.parts[0]:
        raise ValueError(f"line {line.number} has a tag, but no word")
    if len(line.parts) != width:
        raise ValueError(
            f"line {line.number} has {len(line.parts)} columns, others have {width}: {listed(line.parts)}; "
            "separate the columns by tabs if words hold spaces"
        )


def _require_words_first(sentences: Sequence[Sequence[Sequence[str]]], width: int) -> None:
    """CoNLL-U and its kind number the words in their first column."""
    firsts = [parts[0] for sentence in sentences for parts in sentence]
    if width > 3 and firsts and all(first[:1].isdecimal() for first in firsts):
        raise ValueError("its first column must hold the words; it holds their numbers, as in CoNLL-U")
