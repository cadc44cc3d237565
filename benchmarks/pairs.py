"""Owns made pairs of texts, what the teacher of a scarce set of pairs learns first: does one text tell the other?

The second text is a part of the first that lacks some of its function words. In every other pair one to three of the
other words are exchanged for words drawn from all sentences: then it hardly ever follows. Nobody labels anything.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

FOLLOWS, DOES_NOT_FOLLOW = "entailment", "not_entailment"
MIN_WORDS, MAX_WORDS = 12, 40
"""Of a sentence that a pair is made of."""
MIN_PART, MAX_PART = 5, 14
DROPPED_SHARE = 0.25
"""Of the function words of a part."""
MAX_EXCHANGED = 3


def made_pairs(sentences: Sequence[str], *, num_pairs: int, seed: int) -> pd.DataFrame:
    """Rows with the columns text, text_pair and label, from as many of the sentences that are of a fit length.

    Raises:
        ValueError: if there are too few of them.
    """
    generator = np.random.default_rng(seed)
    fit = [words for words in (sentence.split() for sentence in sentences) if MIN_WORDS <= len(words) <= MAX_WORDS]
    words = sorted({word.strip(".,;:()\"'") for word in chain.from_iterable(fit)} - {""})
    alike = pd.Series(words).groupby([_kind(word) for word in words]).apply(list).to_dict()
    rows = []
    for index in generator.choice(len(fit), size=num_pairs, replace=False).tolist():
        part, follows = _part(fit[index], generator), bool(generator.random() < 0.5)
        told = part if follows else _exchanged(part, alike, generator)
        rows.append((" ".join(fit[index]), _sentence(told), FOLLOWS if follows else DOES_NOT_FOLLOW))
    return pd.DataFrame(rows, columns=["text", "text_pair", "label"])


def _part(words: Sequence[str], generator: np.random.Generator) -> list[str]:
    length = int(generator.integers(MIN_PART, min(MAX_PART, len(words)) + 1))
    start = int(generator.integers(len(words) - length + 1))
    part = words[start : start + length]
    kept = [word for word in part if not _is_function_word(word) or generator.random() >= DROPPED_SHARE]
    return kept or list(part)


def _exchanged(words: Sequence[str], alike: dict[str, list[str]], generator: np.random.Generator) -> list[str]:
    """The words, one to three of which gave way to words of the same kind."""
    found = list(words)
    others = [place for place, word in enumerate(found) if not _is_function_word(word)] or list(range(len(found)))
    count = min(len(others), int(generator.integers(1, MAX_EXCHANGED + 1)))
    for place in generator.choice(others, size=count, replace=False).tolist():
        candidates = alike[_kind(found[place])]
        found[place] = candidates[int(generator.integers(len(candidates)))]
    return found


def _kind(word: str) -> str:
    if _is_function_word(word):
        return "function word"
    return "number" if word[:1].isdigit() else "name" if word[:1].isupper() else "other"


def _is_function_word(word: str) -> bool:
    return word.lower() in ENGLISH_STOP_WORDS


def _sentence(words: Sequence[str]) -> str:
    text = " ".join(words).rstrip(".,;:")
    return f"{text[:1].upper()}{text[1:]}."
