"""README and docs are written in short sentences and plain words."""

import re
from pathlib import Path

import pytest

from prose import prose_of, sentence_lengths

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CHECKED = [*PAGES, *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT"))]
WORST = (
    "too dear",
    "dearer",
    "whatever it is told",
    "proven, measured, not yet",
    "every fault of a client",
    "goes the whole way",
    "fine-tuned plainly",
    "trained plainly",
    "what the student shall do",
    "that teaches",
    "that steers",
    "that judges",
    "mend that",
    "mends them",
    "how it fares",
    "is gone on from",
    "labels of people",
    "faults told at once",
    "tells that it goes on",
    "the question that is asked now",
    "come to the end of the search",
    "be it in one",
    "whom its bound admits",
    "tells prometheus",
    "hold up nobody",
    "the teacher came fine-tuned",
    "who may know whom",
    "hangs on that",
    "depends on its company",
    "depend on the company",
    "of strangers",
    "few questions to the teacher",
)
"""Turns of phrase that no reader of the field expects. None may stand in prose, tables or headings."""


@pytest.mark.parametrize(
    ("markdown", "lengths"),
    [
        ("One two three. Four five!", [3, 2]),
        ("A line\nthat goes on.\n\n- an item\n- another one, e.g. this\n", [5, 2, 4]),
        ("# Not a sentence\n\n| nor | this |\n|---|---|\n\n```sh\nnor this\n```\n", []),
        (
            "Text first:\n\n    code = 1\n    more = 2\n\nand text [linked here](page.md) with `some code` after.",
            [2, 7],
        ),
        ("It is 2.5 times `a. B` (see there). Then 3 more.", [7, 3]),
    ],
)
def test_words_of_sentences_are_counted_without_code_and_tables(markdown: str, lengths: list[int]) -> None:
    assert sentence_lengths(markdown) == lengths


def test_the_mean_sentence_of_readme_and_docs_has_at_most_18_words() -> None:
    lengths = [length for page in PAGES for length in sentence_lengths(page.read_text(encoding="utf-8"))]
    assert len(lengths) > 800
    assert sum(lengths) / len(lengths) <= 18


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_is_hard_to_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lengths = sentence_lengths(text)
    assert sum(lengths) <= 18 * len(lengths) + 20, "the page's mean is above 18 words a sentence"
    assert max(lengths, default=0) <= 40, [block[:80] for block in prose_of(text)]


@pytest.mark.parametrize("page", CHECKED, ids=lambda page: page.name)
def test_no_page_has_one_of_the_worst_phrases(page: Path) -> None:
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8")).lower()
    assert [phrase for phrase in WORST if phrase in text] == []
